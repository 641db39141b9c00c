// Which local user is at the other end of a loopback connection (G18): TCP has no peer credentials, so the owner is looked up
// in /proc/net/tcp and tcp6. Linux only: elsewhere the verdict says that nothing is known, and entrance.ts and the browser host's
// guard decide what that means. Called by both of them.
import type { Socket } from 'node:net'
import { createTableSearch, type FindRow, type ReadTable, type TableRow } from './kernel-tcp-table.ts'

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

const TCP4 = '/proc/net/tcp'
const TCP6 = '/proc/net/tcp6'

/** Whether this system can say whose a connection is. */
export const canTellLocalUsers = (platform: NodeJS.Platform, ownUid: number | undefined): boolean =>
  platform === 'linux' && ownUid !== undefined

/** @param ownUid whose gateways these are; undefined where the system has no such ids */
export function createLocalUserCheck(options: {
  platform: NodeJS.Platform
  ownUid: number | undefined
  readTable?: ReadTable | undefined
}): CheckLocalUser {
  const { platform, ownUid } = options
  if (!canTellLocalUsers(platform, ownUid)) return () => Promise.resolve('not told')
  const findInV4 = createTableSearch(TCP4, options.readTable)
  const findInV6 = createTableSearch(TCP6, options.readTable)
  return async ({ remoteAddress, remotePort, localAddress, localPort }) => {
    const [there, here] = [endOf(remoteAddress, remotePort), endOf(localAddress, localPort)]
    if (there === undefined || here === undefined) return 'gone'
    let row: TableRow | undefined
    try {
      row = await findRow(there, here, findInV4, findInV6)
    } catch {
      return 'unreadable'
    }
    // TIME_WAIT and orphaned rows say uid 0 and inode 0: nobody has that socket any more.
    if (!row || row.inode === '0') return 'gone'
    // Root owns the machine anyway.
    return row.uid === ownUid || row.uid === 0 ? 'owner' : 'another user'
  }
}

/**
 * The client's row, by both addresses: from 127.0.0.2 somebody can have the very port that a client of ours has on 127.0.0.1.
 * A client with an IPv6 socket (Java's are) stands in the other table, which is read only for those.
 */
async function findRow(there: End, here: End, findInV4: FindRow, findInV6: FindRow): Promise<TableRow | undefined> {
  const row = await findInV4(`${there.v4} ${here.v4}`)
  // Machines without IPv6 have no such table.
  return row ?? (await findInV6(`${there.v6} ${here.v6}`).catch(() => undefined))
}

/** One end of a connection as the kernel prints it in each of its tables. */
type End = { v4: string; v6: string }

/** IPv4 mapped into IPv6, as Node and the kernel print it. */
const MAPPED = '::ffff:'
const MAPPED_ROW = '0000000000000000FFFF0000'

/** From an address as Node has it; undefined where it is no IPv4 loopback address, on which gateways do not listen. */
function endOf(address: string | undefined, port: number | undefined): End | undefined {
  if (address === undefined || port === undefined) return undefined
  const v4 = address.startsWith(MAPPED) ? address.slice(MAPPED.length) : address
  if (!v4.startsWith('127.')) return undefined
  // Addresses are printed as 32-bit words in the order of a little-endian machine, ports in order.
  const word = v4.split('.').reverse().map(hexByte).join('')
  const end = `${word}:${port.toString(16).toUpperCase().padStart(4, '0')}`
  return { v4: end, v6: MAPPED_ROW + end }
}

const hexByte = (byte: string): string => Number(byte).toString(16).toUpperCase().padStart(2, '0')
