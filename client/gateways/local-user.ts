// Which local user is at the other end of a loopback connection (G18): TCP has no peer credentials, so the owner is looked up
// in /proc/net/tcp and tcp6. One asynchronous snapshot serves a burst of connections. Linux only: elsewhere the verdict says that
// nothing is known, and entrance.ts and the browser host's guard decide what that means. Called by both of them.
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'

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
type Row = { uid: number; inode: string }
type Snapshot = Map<string, Row>

/** Reads one of the kernel's tables; tests count and break it. */
export type ReadTable = (path: string) => Promise<string>
const readTable: ReadTable = (path) => readFile(path, 'latin1')

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
  const takeSnapshot = sharedSnapshots(options.readTable ?? readTable)
  return async ({ remoteAddress, remotePort, localAddress, localPort }) => {
    const [there, here] = [endOf(remoteAddress, remotePort), endOf(localAddress, localPort)]
    if (there === undefined || here === undefined) return 'gone'
    let snapshot: Snapshot
    try {
      snapshot = await takeSnapshot()
    } catch {
      return 'unreadable'
    }
    // With both addresses: from 127.0.0.2 somebody can have the very port that a client of ours has on 127.0.0.1.
    const row = snapshot.get(`${there}>${here}`)
    // TIME_WAIT and orphaned rows say uid 0 and inode 0: nobody has that socket any more.
    if (!row || row.inode === '0') return 'gone'
    // Root owns the machine anyway.
    return row.uid === ownUid || row.uid === 0 ? 'owner' : 'another user'
  }
}

/**
 * Snapshots that are shared by all who ask before one begins: a reading that already runs may have passed the row of a
 * connection that came since, so that one waits for the next reading.
 */
function sharedSnapshots(read: ReadTable): () => Promise<Snapshot> {
  let running: Promise<Snapshot> | undefined
  let next: Promise<Snapshot> | undefined
  const begin = (): Promise<Snapshot> => {
    next = undefined
    const reading = readSnapshot(read)
    running = reading
    const done = (): void => {
      if (running === reading) running = undefined
    }
    reading.then(done, done)
    return reading
  }
  return () => {
    if (!running) return begin()
    next ??= running.then(begin, begin)
    return next
  }
}

async function readSnapshot(read: ReadTable): Promise<Snapshot> {
  // Machines without IPv6 have no tcp6.
  const [v4, v6] = await Promise.all([read(TCP4), read(TCP6).catch(() => '')])
  const snapshot: Snapshot = new Map()
  for (const line of `${v4}\n${v6}`.split('\n')) {
    // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …
    const [, local = '', remote = '', , , , , uid, , inode] = line.trim().split(/\s+/)
    const [there, here] = [endOfRow(local), endOfRow(remote)]
    if (uid === undefined || inode === undefined || there === undefined || here === undefined) continue
    snapshot.set(`${there}>${here}`, { uid: Number(uid), inode })
  }
  return snapshot
}

/** IPv4 mapped into IPv6, as Node and the kernel print it: some clients connect so. */
const MAPPED = '::ffff:'
const MAPPED_ROW = '0000000000000000FFFF0000'

/** ADDRESS:PORT of one end as Node has it; undefined where it is no IPv4 loopback address, on which gateways do not listen. */
function endOf(address: string | undefined, port: number | undefined): string | undefined {
  if (address === undefined || port === undefined) return undefined
  const v4 = address.startsWith(MAPPED) ? address.slice(MAPPED.length) : address
  return v4.startsWith('127.') ? `${v4}:${port}` : undefined
}

/** The same of one end in a row: the address as 32-bit words in the order of a little-endian machine, the port in order. */
function endOfRow(end: string): string | undefined {
  const [address = '', port = ''] = end.split(':')
  const word = address.startsWith(MAPPED_ROW) ? address.slice(MAPPED_ROW.length) : address
  if (word.length !== 8 || !word.endsWith('7F')) return undefined
  const bytes = [6, 4, 2, 0].map((at) => parseInt(word.slice(at, at + 2), 16))
  return `${bytes.join('.')}:${parseInt(port, 16)}`
}
