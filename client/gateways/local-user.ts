// Which local user is at the other end of a loopback connection (G18): TCP has no peer credentials, so the kernel is asked whose the
// socket there is. Linux only: elsewhere the verdict says that nothing is known, and entrance.ts and the browser host's guard decide
// what that means. Called by both of them.
import { isIPv4, type Socket } from 'node:net'
import { createOwnerSearch, type OwnerSearch } from './connection-owner.ts'
import type { End, SocketRow } from './socket-diag.ts'

export type PeerVerdict =
  | 'owner'
  | 'another user'
  /** Nobody has the other end any more, or it is not where a client of this machine has it. */
  | 'gone'
  /** This system tells nobody whose connection it is. */
  | 'not told'
  /** It would tell, but could not be read. */
  | 'unreadable'
export type CheckLocalUser = (socket: Pick<Socket, Ends>) => Promise<PeerVerdict>

type Ends = 'remoteAddress' | 'remotePort' | 'localAddress' | 'localPort'

/** Whether this system can say whose a connection is. */
export const canTellLocalUsers = (platform: NodeJS.Platform, ownUid: number | undefined): boolean =>
  platform === 'linux' && ownUid !== undefined

/**
 * @param options.ownUid whose gateways these are; undefined where the system has no such ids
 * @param options.owners the caller's, to close; the table alone is read if not given
 */
export function createLocalUserCheck(options: {
  platform: NodeJS.Platform
  ownUid: number | undefined
  owners?: Pick<OwnerSearch, 'find'> | undefined
}): CheckLocalUser {
  const { platform, ownUid } = options
  if (!canTellLocalUsers(platform, ownUid)) return () => Promise.resolve('not told')
  const owners = options.owners ?? createOwnerSearch({ openNetlink: null })
  return async ({ remoteAddress, remotePort, localAddress, localPort }) => {
    const [there, here] = [endOf(remoteAddress, remotePort), endOf(localAddress, localPort)]
    if (there === undefined || here === undefined) return 'gone'
    let row: SocketRow | undefined
    try {
      row = await owners.find(there, here)
    } catch {
      return 'unreadable'
    }
    // Sockets in TIME_WAIT and orphaned ones have uid 0 and inode 0: nobody has that socket any more.
    if (!row || row.inode === 0) return 'gone'
    // Root owns the machine anyway.
    return row.uid === ownUid || row.uid === 0 ? 'owner' : 'another user'
  }
}

/** IPv4 mapped into IPv6, as Node has it. */
const MAPPED = '::ffff:'

/** From an address as Node has it; undefined where it is no IPv4 loopback address, on which gateways do not listen. */
function endOf(address: string | undefined, port: number | undefined): End | undefined {
  if (address === undefined || port === undefined) return undefined
  const v4 = address.startsWith(MAPPED) ? address.slice(MAPPED.length) : address
  return isIPv4(v4) && v4.startsWith('127.') ? { address: v4, port } : undefined
}
