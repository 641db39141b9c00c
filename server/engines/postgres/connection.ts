// One client connection from its startup message to its end: check, fetch credentials, dial, log in, relay, close. Called by
// the engine; owns the connection to the target, its cancel key and its lines in the audit log.
import type { AuditEventName } from '../../../shared/audit-api.ts'
import type { ErrorCode } from '../../../shared/errors.ts'
import {
  encodeAuthenticationOk,
  encodeBackendKeyData,
  encodeNegotiateProtocolVersion,
} from '../../../shared/wire/postgres/backend-messages.ts'
import { fatalError, SQLSTATE } from '../../../shared/wire/postgres/fatal-errors.ts'
import { MessageFramer } from '../../../shared/wire/postgres/message-framer.ts'
import { PostgresProtocolError } from '../../../shared/wire/postgres/protocol-error.ts'
import { PosternError } from '../../../shared/errors.ts'
import { startStopwatch } from '../../../shared/stopwatch.ts'
import { StreamEndedError } from '../../../link/read-bytes.ts'
import { TimeLimit } from '../../../link/time-limit.ts'
import { watchForStall, type StalledSide } from '../../../link/write-stall.ts'
import type { AuditLog, BoundedAuditLog, CredentialStore, EngineConnection, ReportError } from '../../seams.ts'
import { untilAborted } from '../../until-aborted.ts'
import type { CancelKeys, Random } from './cancel-keys.ts'
import { endedByPostern, lastWordsFor, StartupRefusal, targetStalled, targetVanished } from './client-errors.ts'
import { checkStartup, readStartup, type ClientStartup, type PostgresAccess } from './client-startup.ts'
import { CLIENT_INTEREST } from './client-requests.ts'
import { closeClient, closeTarget } from './closing.ts'
import { relay, type RelayEnd } from './relay.ts'
import type { SaltedPasswords } from './salted-passwords.ts'
import { StatementLog, TARGET_INTEREST } from './statement-log.ts'
import { cancelAtTarget } from './target-cancel.ts'
import { dialTarget, type TargetConnection } from './target-dial.ts'
import { logInToTarget, TargetRefusal, type TargetGreeting } from './target-login.ts'

/** How long a client may take for its startup message, in ms (PostgreSQL's authentication_timeout is 60 s, too). */
const STARTUP_TIMEOUT_MS = 60_000

export type PostgresConnection = EngineConnection & { access: PostgresAccess }

export type ConnectionTools = {
  credentials: CredentialStore
  audit: BoundedAuditLog
  reportError: ReportError
  /** For TCP, TLS and login together. */
  dialTimeoutMs: number
  /** How long bytes may wait for a side that does not read, in ms. */
  writeStallMs: number
  now: () => number
  random: Random
  keys: CancelKeys
  salted: SaltedPasswords
}

/** Serves one connection. Resolves when it is over and everything is released; never rejects. */
export async function serveConnection(connection: PostgresConnection, tools: ConnectionTools): Promise<void> {
  const { link, log, access } = connection
  const events = auditOf(connection, tools.audit)
  let lastWords: Buffer | undefined
  try {
    const startup = await readClient(connection)
    lastWords = await serveClient(startup, { connection, tools, events })
  } catch (error) {
    if (connection.signal.aborted) lastWords = endedByPostern(connection.signal.reason)
    else if (!link.stream.closed && !(error instanceof StreamEndedError)) {
      lastWords = lastWordsFor(error, access.route.resource, (code, cause) => tools.reportError(code, cause, log)).bytes
      if (error instanceof StartupRefusal)
        events.record('access.denied', { code: error.code, text: error.message, asked: error.asked })
    }
  }
  await closeClient(link, lastWords)
}

/** What a connection needs all along. */
type Context = {
  connection: PostgresConnection
  tools: ConnectionTools
  events: Audit
}

async function readClient({ link, access, signal }: PostgresConnection): Promise<ClientStartup> {
  const limit = new TimeLimit(signal, STARTUP_TIMEOUT_MS, link.stream)
  try {
    return checkStartup(await readStartup(link.stream, limit.signal), access)
  } catch (error) {
    if (limit.isLate) throw new PostgresProtocolError('the startup message did not come in time')
    throw error
  } finally {
    limit.end()
  }
}

/** From an accepted startup message on; the last words to the client come back. */
async function serveClient(startup: ClientStartup, context: Context): Promise<Buffer | undefined> {
  const { connection, tools, events } = context
  const { database, applicationName } = startup
  const opened = { database, application_name: applicationName }
  const elapsed = startStopwatch()
  events.record('connection.open', opened)
  let end: ConnectionEnd = { reason: 'client' }
  try {
    const target = await openTarget(startup, context)
    end = await serveReady(target, startup, context)
    return end.lastWords
  } catch (error) {
    if (connection.signal.aborted || connection.link.stream.closed) {
      end = { ...end, reason: connection.signal.aborted ? 'ended' : 'client' }
      throw error
    }
    const words = lastWordsFor(error, connection.access.route.resource, (code, cause) =>
      tools.reportError(code, cause, connection.log),
    )
    end = { ...end, reason: words.code, errorId: words.errorId }
    return words.bytes
  } finally {
    const { reason, errorId, stalled } = end
    const { forward: bytesFromClient, backward: bytesToClient } = connection.progress
    const why = { reason, ...(stalled && { stalled }), ...(errorId === undefined ? {} : { errorId }) }
    const detail = { ...why, bytesFromClient, bytesToClient }
    events.record('connection.close', { ...opened, ...detail, durationMs: elapsed() })
  }
}

type ConnectionEnd = {
  /** Who ended it (`client`, `target`, `ended` by Postern), that one of them did not read, or the code of what went wrong. */
  reason: 'client' | 'target' | 'ended' | 'write_stalled' | ErrorCode
  stalled?: 'client' | 'target'
  errorId?: string | undefined
  lastWords?: Buffer | undefined
}

type ReadyTarget = TargetConnection & { greeting: TargetGreeting }

/**
 * Credentials, dial and login, all within the dial timeout; the session's signal is looked at after each step (S5).
 * @throws PosternError, TargetRefusal, PostgresProtocolError; the signal's reason.
 */
async function openTarget(startup: ClientStartup, { connection, tools }: Context): Promise<ReadyTarget> {
  const { resource, route } = connection.access
  const limit = new TimeLimit(connection.signal, tools.dialTimeoutMs, connection.link.stream)
  const { signal } = limit
  let target: TargetConnection | undefined
  try {
    const password = await untilAborted(tools.credentials.fetchPassword(resource.name, route.account), signal)
    target = await dialTarget(resource, signal)
    const { parameters } = startup
    const { socket, serverEndPoint } = target
    const { random, salted } = tools
    const login = { account: route.account, password, parameters, serverEndPoint, random, salted }
    const greeting = await logInToTarget(socket, login, signal)
    await untilAborted(connection.session.markActive(), signal)
    return { ...target, greeting }
  } catch (error) {
    target?.socket.destroy()
    if (!limit.isLate) signal.throwIfAborted()
    if (error instanceof PosternError || error instanceof TargetRefusal) throw error
    // Silence, an end in the middle, or bytes of something that is no PostgreSQL: each is a target that cannot be used.
    throw isFromTarget(error, limit) ? new PosternError('target_unreachable', 'no login', { cause: error }) : error
  } finally {
    limit.end()
  }
}

const isFromTarget = (error: unknown, { isLate }: TimeLimit): boolean =>
  isLate ||
  error instanceof StreamEndedError ||
  error instanceof PostgresProtocolError ||
  (error instanceof Error && 'syscall' in error)

/** The connection is ready: greet the client, relay, log, and clean up on the target's side. */
async function serveReady(target: ReadyTarget, startup: ClientStartup, context: Context): Promise<ConnectionEnd> {
  const { connection, tools, events } = context
  const { link, session, access } = connection
  const { socket, greeting } = target
  const cancelTarget = async (signal: AbortSignal): Promise<void> => {
    if (greeting.key !== undefined) await cancelAtTarget(access.resource, greeting.key, signal)
  }
  const { connectionId } = connection
  const issued = tools.keys.issue({
    sessionId: session.id,
    connectionId,
    route: access.route,
    cancelAtTarget: cancelTarget,
  })
  const statements = new StatementLog(({ event, detail }) => events.record(event, detail))
  /** Both of our logs may ask the client to wait: one is bounded by answers, the other by the store. */
  const hold = (): Promise<unknown> | undefined => {
    const [answers, store] = [statements.room(), tools.audit.room()]
    return answers && store ? Promise.all([answers, store]) : (answers ?? store)
  }
  const fromTarget = new MessageFramer(TARGET_INTEREST, (message) => statements.onTargetMessage(message))
  const fromClient = new MessageFramer(CLIENT_INTEREST, (message) => {
    if (isStatement(message.type)) {
      connection.activity.statements++
      connection.activity.lastStatementAtMs = tools.now()
    }
    statements.onClientMessage(message)
  })
  const { signal, progress } = connection
  let stalled: StalledSide | undefined
  const stopWatching = watchForStall({
    ...{ near: link.stream, far: socket, progress, stallMs: tools.writeStallMs },
    onStalled(side) {
      stalled = side
      // What waits for it is lost: the relay ends, and the other side is told.
      if (side === 'near') link.reset()
      else socket.destroy()
    },
  })
  try {
    link.stream.write(greet(startup, greeting, encodeBackendKeyData(issued.key)))
    const end = await relay({ client: link.stream, target: socket, fromClient, fromTarget, hold, progress, signal })
    const words = stalled ? stallWords(stalled, end, context) : partingWords(end, statements, context)
    // The client is told at once; what runs at the target is stopped meanwhile.
    const clientClosed = closeClient(link, words.lastWords)
    if (end.cause !== 'target' && statements.isBusy)
      await cancelTarget(AbortSignal.timeout(tools.dialTimeoutMs)).catch((error: unknown) =>
        connection.log.warn({ err: error }, 'a running statement could not be cancelled at the target'),
      )
    await Promise.all([closeTarget(socket, end.isTargetAtBoundary), clientClosed])
    return words
  } finally {
    stopWatching()
    issued.release()
    socket.destroy()
    statements.close()
  }
}

/** Query, Execute and FunctionCall: each asks the target to do something that is worth counting. */
const isStatement = (type: number): boolean => type === 0x51 || type === 0x45 || type === 0x46

/** Everything up to ReadyForQuery in one piece: the client logs in to us, so the answer is always yes here. */
const greet = ({ unknownOptions }: ClientStartup, greeting: TargetGreeting, key: Buffer): Buffer =>
  Buffer.concat([
    ...(unknownOptions === undefined ? [] : [encodeNegotiateProtocolVersion(unknownOptions)]),
    encodeAuthenticationOk(),
    greeting.messages,
    key,
    greeting.ready,
  ])

/** What is left to say to the client, and why the connection ended. Nothing can be said in the middle of a message. */
function partingWords(
  end: RelayEnd,
  statements: StatementLog,
  { connection, tools }: Context,
): Pick<ConnectionEnd, 'reason' | 'errorId' | 'lastWords'> {
  const sayable = (bytes: Buffer) => (end.isClientAtBoundary ? bytes : undefined)
  switch (end.cause) {
    case 'client':
      return { reason: 'client' }
    case 'signal':
      return { reason: 'ended', lastWords: sayable(endedByPostern(connection.signal.reason)) }
    case 'target': {
      if (statements.hasSeenTerminate) return { reason: 'client' }
      if (statements.hasSeenFatal) return { reason: 'target' }
      const errorId = tools.reportError(
        'target_unreachable',
        end.error ?? new Error('the target vanished'),
        connection.log,
      )
      const lastWords = sayable(targetVanished(connection.access.route.resource, errorId))
      return { reason: 'target_unreachable', errorId, lastWords }
    }
    case 'failed': {
      const words =
        end.error instanceof PostgresProtocolError
          ? { reason: 'protocol' as const, lastWords: fatalError(SQLSTATE.protocolViolation, end.error.message) }
          : { reason: 'internal' as const, ...internalWords(end.error, connection, tools) }
      return { ...words, lastWords: sayable(words.lastWords) }
    }
  }
}

/** A target that does not read may still be heard; a client that does not can be told nothing. */
function stallWords(
  side: StalledSide,
  end: RelayEnd,
  { connection, tools }: Context,
): Pick<ConnectionEnd, 'reason' | 'stalled' | 'errorId' | 'lastWords'> {
  const stalled = side === 'near' ? 'client' : 'target'
  connection.log.warn(
    { stalled, limitMs: tools.writeStallMs },
    'a peer took no bytes for too long; the connection is ended',
  )
  const why = { reason: 'write_stalled', stalled } as const
  if (stalled === 'client') return why
  const errorId = tools.reportError('target_unreachable', new Error('the target takes no bytes'), connection.log)
  const words = targetStalled(connection.access.route.resource, errorId)
  return { ...why, errorId, lastWords: end.isClientAtBoundary ? words : undefined }
}

function internalWords(error: unknown, connection: PostgresConnection, tools: ConnectionTools) {
  const report = (code: ErrorCode, cause: unknown) => tools.reportError(code, cause, connection.log)
  const { bytes, errorId } = lastWordsFor(error, connection.access.route.resource, report)
  return { lastWords: bytes, errorId }
}

type Audit = { record: (event: AuditEventName, detail: Record<string, unknown>) => void }

function auditOf({ session, connectionId, access, address }: PostgresConnection, audit: AuditLog): Audit {
  const { user, loginId, resource, account } = access.route
  const who = { user, login: loginId, session: session.id, connection: connectionId, resource, account, address }
  return { record: (event, detail) => audit.record({ event, ...who, detail }) }
}
