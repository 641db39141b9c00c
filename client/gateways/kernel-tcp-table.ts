// Looks up connections in one of the kernel's TCP tables (/proc/net/tcp, tcp6). Reading one to its end costs milliseconds of
// processor time however few connections there are, because the kernel walks its whole hash table (262,144 buckets on a
// machine with much memory: 4.6 ms). So one sweep serves all who ask before it begins, and it stops as soon as everything that
// was asked for is found. Called by connection-owner.ts, where the kernel answers nothing better.
import { open } from 'node:fs/promises'
import type { End, SocketRow } from './socket-diag.ts'

/** Reads one of the tables, piece by piece, so that whoever has found his row can stop. Tests count and break it. */
export type ReadTable = (path: string) => AsyncIterable<string>

const TCP4 = '/proc/net/tcp'
const TCP6 = '/proc/net/tcp6'
/** One page of the kernel's: it never hands out more at once. */
const PIECE_BYTES = 4096
/** `local remote` of both ends, as the kernel prints them, behind the row's number. */
const ROW = /^\s*\d+: ([0-9A-F]+:[0-9A-F]{4} [0-9A-F]+:[0-9A-F]{4}) /
/** Columns after the two addresses: st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode … */
const UID_COLUMN = 4
const INODE_COLUMN = 6

/** The ends of a wanted row as the kernel prints them → what is told those who wait for it; undefined: there is no such row. */
type Wanted = Map<string, PromiseWithResolvers<SocketRow | undefined>>

/**
 * Finds the socket at `there` whose connection leads to `here`: by both ends, because from 127.0.0.2 somebody can have the very
 * port that a client of ours has on 127.0.0.1. undefined: nobody has it.
 * @throws (rejects) what reading the table throws
 */
export type FindSocket = (there: End, here: End) => Promise<SocketRow | undefined>

/** A client with an IPv6 socket (Java's are) stands in the other table, which is read only for those that the first has not. */
export function createTableSearch(read: ReadTable = readTable): FindSocket {
  const findInV4 = createRowSearch(TCP4, read)
  const findInV6 = createRowSearch(TCP6, read)
  return async (there, here) => {
    const [from, to] = [printed(there), printed(here)]
    const row = await findInV4(`${from} ${to}`)
    // Machines without IPv6 have no such table.
    return row ?? (await findInV6(`${MAPPED + from} ${MAPPED + to}`).catch(() => undefined))
  }
}

/** IPv4 mapped into IPv6, as the kernel prints it. */
const MAPPED = '0000000000000000FFFF0000'

/** Addresses are printed as 32-bit words in the order of a little-endian machine, ports in order. */
const printed = ({ address, port }: End): string =>
  `${address.split('.').reverse().map(hexByte).join('')}:${port.toString(16).toUpperCase().padStart(4, '0')}`
const hexByte = (byte: string): string => Number(byte).toString(16).toUpperCase().padStart(2, '0')

/** Finds the row of a connection by both its ends, printed as the kernel prints them. */
type FindRow = (ends: string) => Promise<SocketRow | undefined>

function createRowSearch(path: string, read: ReadTable): FindRow {
  let running: Promise<void> | undefined
  let next: Wanted | undefined

  const begin = (wanted: Wanted): void => {
    if (next === wanted) next = undefined
    const sweeping = sweep(() => read(path), wanted).finally(() => {
      if (running === sweeping) running = undefined
    })
    running = sweeping
  }
  return (ends) => {
    if (next === undefined) {
      const wanted: Wanted = new Map()
      // A sweep that runs may have passed the row of a connection that came since: that one waits for the next sweep.
      next = wanted
      if (running === undefined) queueMicrotask(() => begin(wanted))
      else void running.then(() => begin(wanted))
    }
    const found = next.get(ends) ?? Promise.withResolvers<SocketRow | undefined>()
    next.set(ends, found)
    return found.promise
  }
}

/** Tells everybody who wants a row, as soon as it is known, or why it cannot be. Never rejects. */
async function sweep(read: () => AsyncIterable<string>, wanted: Wanted): Promise<void> {
  try {
    let cut = ''
    for await (const piece of read()) {
      const lines = (cut + piece).split('\n')
      cut = lines.pop() ?? ''
      for (const line of lines) lookAt(line, wanted)
      if (wanted.size === 0) return
    }
    lookAt(cut, wanted)
    for (const { resolve } of wanted.values()) resolve(undefined)
  } catch (error) {
    for (const { reject } of wanted.values()) reject(error)
  }
}

function lookAt(line: string, wanted: Wanted): void {
  const match = ROW.exec(line)
  const [head = '', ends = ''] = match ?? []
  const found = wanted.get(ends)
  if (found === undefined) return
  const columns = line.slice(head.length).trim().split(/\s+/)
  const [uid, inode] = [columns[UID_COLUMN], columns[INODE_COLUMN]]
  if (uid === undefined || inode === undefined) return
  wanted.delete(ends)
  found.resolve({ uid: Number(uid), inode: Number(inode) })
}

async function* readTable(path: string): AsyncGenerator<string> {
  const file = await open(path)
  try {
    const piece = Buffer.allocUnsafe(PIECE_BYTES)
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, PIECE_BYTES, null)
      if (bytesRead === 0) return
      yield piece.toString('latin1', 0, bytesRead)
    }
  } finally {
    await file.close()
  }
}
