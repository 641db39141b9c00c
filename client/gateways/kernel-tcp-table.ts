// Looks up connections in one of the kernel's TCP tables (/proc/net/tcp, tcp6). Reading one to its end costs milliseconds of
// processor time however few connections there are, because the kernel walks its whole hash table (262,144 buckets on a
// machine with much memory: 4.6 ms). So one sweep serves all who ask before it begins, and it stops as soon as everything that
// was asked for is found. Called by local-user.ts.
import { open } from 'node:fs/promises'

/** Reads one of the tables, piece by piece, so that whoever has found his row can stop. Tests count and break it. */
export type ReadTable = (path: string) => AsyncIterable<string>

/** What a row says of the socket at that end. TIME_WAIT and orphaned rows say uid 0 and inode 0: nobody has that socket. */
export type TableRow = { uid: number; inode: string }

/** One page of the kernel's: it never hands out more at once. */
const PIECE_BYTES = 4096
/** `local remote` of both ends, as the kernel prints them, behind the row's number. */
const ROW = /^\s*\d+: ([0-9A-F]+:[0-9A-F]{4} [0-9A-F]+:[0-9A-F]{4}) /
/** Columns after the two addresses: st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode … */
const UID_COLUMN = 4
const INODE_COLUMN = 6

/** The ends of a wanted row as the kernel prints them → what is told those who wait for it; undefined: there is no such row. */
type Wanted = Map<string, PromiseWithResolvers<TableRow | undefined>>

/**
 * Finds the row of a connection by both its ends, printed as the kernel prints them.
 * @throws (rejects) what reading the table throws
 */
export type FindRow = (ends: string) => Promise<TableRow | undefined>

export function createTableSearch(path: string, read: ReadTable = readTable): FindRow {
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
    const found = next.get(ends) ?? Promise.withResolvers<TableRow | undefined>()
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
  found.resolve({ uid: Number(uid), inode })
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
