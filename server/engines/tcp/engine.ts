// The engine for plain TCP (DB6): reaches the target, then copies bytes both ways and knows nothing of them. As no error can
// be said inside the connection, the target is dialled before the preamble, which tells whether it was reached.
import type { Socket } from 'node:net'
import type { AuditEventName } from '../../../shared/audit-api.ts'
import { PosternError } from '../../../shared/errors.ts'
import { startStopwatch } from '../../../shared/stopwatch.ts'
import { linkOf, type Link } from '../../../link/link.ts'
import { TimeLimit } from '../../../link/time-limit.ts'
import { WRITE_STALL_MS, watchForStall } from '../../../link/write-stall.ts'
import type { AuditLog, Engine, EngineConnection, ReportError } from '../../seams.ts'
import { untilAborted } from '../../until-aborted.ts'
import { connectToTarget } from '../target-socket.ts'

export type TcpEngineOptions = {
  audit: AuditLog
  reportError: ReportError
  /** For reaching the target, in ms; less than the gateways' own deadline for dial and preamble, which it is part of. */
  dialTimeoutMs: number
  /** How long bytes may wait for a side that does not read, in ms. */
  writeStallMs?: number
}

/** Makes the engine. Nothing is opened before a connection comes. */
export function createTcpEngine(options: TcpEngineOptions): Engine {
  return { serve: (connection) => serveConnection(connection, options) }
}

/**
 * Serves one connection to its end.
 * @throws before it is admitted only: PosternError `target_unreachable` with the error id, or why the session is over
 */
async function serveConnection(connection: EngineConnection, tools: TcpEngineOptions): Promise<void> {
  const record = auditOf(connection, tools.audit)
  const elapsed = startStopwatch()
  record('connection.open', {})
  const end: ConnectionEnd = { reason: 'client', bytesFromClient: 0, bytesToClient: 0 }
  try {
    const target = await reachTarget(connection, tools).catch((error: unknown) => {
      if (error instanceof PosternError) Object.assign(end, { reason: error.code, errorId: error.errorId })
      throw error
    })
    try {
      await connection.admit()
      Object.assign(end, await carry(connection, linkOf(target), tools.writeStallMs ?? WRITE_STALL_MS))
    } finally {
      target.destroy()
      end.bytesFromClient = connection.progress.forward
      end.bytesToClient = connection.progress.backward
    }
  } finally {
    if (connection.signal.aborted) end.reason = 'ended'
    record('connection.close', { ...end, durationMs: elapsed() })
  }
}

type ConnectionEnd = {
  /** Who said first that it was over (`ended`: Postern did), `write_stalled`, or the code of what went wrong. */
  reason: string
  /** Who took no bytes, where that was the reason. */
  stalled?: 'client' | 'target'
  errorId?: string | undefined
  bytesFromClient: number
  bytesToClient: number
}

/** Dials within the deadline; the session is looked at again once the target is there (S5). */
async function reachTarget(
  { access, session, signal, link, log }: EngineConnection,
  { reportError, dialTimeoutMs }: TcpEngineOptions,
) {
  const patience = new TimeLimit(signal, dialTimeoutMs, link.stream)
  let socket: Socket | undefined
  try {
    socket = await connectToTarget(access.resource.address, patience.signal)
    await untilAborted(session.markActive(), patience.signal)
    patience.signal.throwIfAborted()
    return socket
  } catch (cause) {
    socket?.destroy()
    if (!patience.isLate) patience.signal.throwIfAborted()
    const errorId = reportError('target_unreachable', cause, log)
    throw new PosternError('target_unreachable', unreachable(access.resource.name), { cause, errorId })
  } finally {
    patience.end()
  }
}

const unreachable = (resource: string): string =>
  `the access server cannot reach ${resource}; it may be down: try again later, else ask the administrator of the access server`

/**
 * Copies until both sides are over. The session's end, or a side that does not read, breaks both off at once, which neither can
 * take for a good end.
 * Resolves when both are released.
 */
async function carry(
  { link, signal, progress, log }: EngineConnection,
  target: Link,
  stallMs: number,
): Promise<Pick<ConnectionEnd, 'reason' | 'stalled'>> {
  let first: 'client' | 'target' | undefined
  let stalled: 'client' | 'target' | undefined
  for (const [side, { stream }] of [['client', link] as const, ['target', target] as const])
    for (const event of ['end', 'error', 'close']) stream.once(event, () => (first ??= side))
  const stop = () => {
    link.reset()
    target.reset()
  }
  signal.addEventListener('abort', stop, { once: true })
  const stopWatching = watchForStall({
    ...{ near: link.stream, far: target.stream, progress, stallMs },
    onStalled(side) {
      stalled = side === 'near' ? 'client' : 'target'
      log.warn({ stalled, limitMs: stallMs }, 'a peer took no bytes for too long; the connection is ended')
      stop()
    },
  })
  try {
    if (signal.aborted) stop()
    await link.pumpTo(target, progress)
    return stalled ? { reason: 'write_stalled', stalled } : { reason: first ?? 'client' }
  } finally {
    stopWatching()
    signal.removeEventListener('abort', stop)
  }
}

function auditOf({ session, connectionId, access, address }: EngineConnection, audit: AuditLog) {
  const { user, loginId, resource, account } = access.route
  const who = { user, login: loginId, session: session.id, connection: connectionId, resource, account, address }
  return (event: AuditEventName, detail: Record<string, unknown>) => audit.record({ event, ...who, detail })
}
