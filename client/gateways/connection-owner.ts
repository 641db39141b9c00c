// Who has the other end of a loopback connection, from whichever way of asking the kernel works here: a question about this one
// connection (socket-diag.ts, microseconds), else the table of all (kernel-tcp-table.ts, milliseconds). Both say the same. One search
// for each core; called by local-user.ts.
import type { Logger } from 'pino'
import { createTableSearch, type FindSocket, type ReadTable } from './kernel-tcp-table.ts'
import { openNetlinkSocket, type NetlinkSocket } from './netlink-socket.ts'
import { askForSocket, type End, type SocketRow } from './socket-diag.ts'

export type OwnerSearch = {
  /** The socket at `there` whose connection leads to `here`; undefined: nobody has it. @throws (rejects) where it cannot be told */
  find: FindSocket
  /** What was opened is closed; questions that come later are answered from the table. Idempotent. */
  close(): void
}

export type OwnerSearchOptions = {
  /** null: only the table is read. */
  openNetlink?: (() => Promise<NetlinkSocket>) | null | undefined
  readTable?: ReadTable | undefined
  log?: Logger | undefined
}

/** Opens nothing before the first question. */
export function createOwnerSearch(options: OwnerSearchOptions): OwnerSearch {
  const { openNetlink = openNetlinkSocket, log } = options
  const findInTable = createTableSearch(options.readTable)
  let opening: Promise<void> | undefined
  let netlink: NetlinkSocket | undefined
  /** Only what has found a socket once is believed when it says that there is none: kernels without inet_diag say the same of all. */
  let isProven = false
  let isOver = openNetlink === null
  let sequence = 0

  const close = (): void => {
    isOver = true
    netlink?.close()
    netlink = undefined
  }
  const giveUp = (error: unknown): void => {
    if (!isOver) log?.info({ err: error }, 'whose a connection is, is looked up in the table of all connections')
    close()
  }
  const open = async (): Promise<void> => {
    try {
      const opened = await openNetlink?.()
      if (isOver) opened?.close()
      else netlink = opened
    } catch (error) {
      giveUp(error)
    }
  }
  const ask = (there: End, here: End): { row: SocketRow | undefined } | undefined => {
    if (!netlink) return undefined
    try {
      sequence = (sequence + 1) >>> 0
      const row = askForSocket(netlink, there, here, sequence)
      isProven ||= row !== undefined
      return isProven ? { row } : undefined
    } catch (error) {
      giveUp(error)
      return undefined
    }
  }

  return {
    async find(there, here) {
      if (!netlink && !isOver) await (opening ??= open())
      const answer = ask(there, here)
      if (answer) return answer.row
      const row = await findInTable(there, here)
      if (row && netlink && !isProven)
        giveUp(new Error('the kernel does not know of a connection that is in its table'))
      return row
    },
    close,
  }
}
