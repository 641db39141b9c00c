// Which local user is at the other end of a loopback connection (G18): TCP has no peer credentials, so the owner is looked up
// in /proc/net/tcp and tcp6. One asynchronous snapshot serves a burst of connections. Linux only: elsewhere nothing is known
// and everybody is let through, which docs/security.md says.
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'

export type PeerVerdict = 'owner' | 'another user' | 'gone'
export type CheckLocalUser = (socket: Socket) => Promise<PeerVerdict>

type Snapshot = Map<string, { uid: number; inode: string }>

/** @param ownUid whose gateways these are; undefined where the system has no such ids */
export function createLocalUserCheck(options: {
  platform: NodeJS.Platform
  ownUid: number | undefined
}): CheckLocalUser {
  const { platform, ownUid } = options
  if (platform !== 'linux' || ownUid === undefined) return () => Promise.resolve('owner')
  const takeSnapshot = sharedSnapshots()
  return async (socket) => {
    const { remotePort, localPort } = socket
    if (remotePort === undefined || localPort === undefined) return 'gone'
    const row = (await takeSnapshot()).get(`${remotePort}>${localPort}`)
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
function sharedSnapshots(): () => Promise<Snapshot> {
  let running: Promise<Snapshot> | undefined
  let next: Promise<Snapshot> | undefined
  const begin = (): Promise<Snapshot> => {
    next = undefined
    const reading = readSnapshot()
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

async function readSnapshot(): Promise<Snapshot> {
  const [v4, v6] = await Promise.all([readFile('/proc/net/tcp', 'latin1'), readTcp6()])
  const snapshot: Snapshot = new Map()
  for (const line of `${v4}\n${v6}`.split('\n')) {
    // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …
    const fields = line.trim().split(/\s+/)
    const [, local = '', remote = '', , , , , uid, , inode] = fields
    if (uid === undefined || inode === undefined || !isLoopback(local) || !isLoopback(remote)) continue
    snapshot.set(`${portOf(local)}>${portOf(remote)}`, { uid: Number(uid), inode })
  }
  return snapshot
}

/** Machines without IPv6 have no such file. */
const readTcp6 = (): Promise<string> => readFile('/proc/net/tcp6', 'latin1').catch(() => '')

/** 127.0.0.1 as the kernel prints it (32-bit words in host order), and mapped into IPv6 as some clients use it. */
const isLoopback = (address: string): boolean =>
  address.startsWith('0100007F:') || address.startsWith('0000000000000000FFFF00000100007F:')

const portOf = (address: string): number => parseInt(address.slice(address.lastIndexOf(':') + 1), 16)
