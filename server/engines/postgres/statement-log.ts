// Watches both directions of one connection and tells, in order, every statement with what became of it (DB1, R5). It keeps
// a queue of what the client asked and the target has not answered; the protocol answers strictly in that order. Called by
// the connection, which hands over the messages of interest and gets events back.
//
// Memory: at most MAX_PENDING requests wait (then `room()` holds the client back until answers came). PostgreSQL sends
// what it has to say at the latest when its buffer of 8 KiB is full, which is 1,638 of the shortest answers, and an error at
// once, so a client that pipelines without Sync is not held for ever. Texts of waiting requests may take
// MAX_PENDING_CHARACTERS together; of what comes beyond that only the beginning is kept, marked as truncated.
// Source: PostgreSQL documentation, "Frontend/Backend Protocol", 55.2.2 to 55.2.7.
import { elapsedMs } from '../../../shared/stopwatch.ts'
import { parseCommandTag, parseErrorFields } from '../../../shared/wire/postgres/backend-messages.ts'
import type { StatementText } from '../../../shared/wire/postgres/frontend-messages.ts'
import type { Interest, SeenMessage } from '../../../shared/wire/postgres/message-framer.ts'
import { readClientRequest, SQL_MAX_BYTES, type Request } from './client-requests.ts'
import { PreparedNames, type KeptText } from './prepared-names.ts'
import { redactSecrets } from './redact.ts'
import {
  copyEvent,
  errorOutcome,
  statementEvent,
  type Answered,
  type CopyDirection,
  type Outcome,
  type StatementEvent,
} from './statement-event.ts'

/** Messages of targets that matter to the log, with how much of each. DataRow is not among them. */
export const TARGET_INTEREST: Interest = {
  '1': 0,
  '2': 0,
  '3': 0,
  T: 0,
  n: 0,
  s: 0,
  I: 0,
  V: 0,
  Z: 0,
  G: 0,
  H: 0,
  W: 0,
  d: 0,
  C: 256,
  E: 8 * 1024,
}

export const MAX_PENDING = 16_384
const MAX_PENDING_CHARACTERS = 16 * 1024 * 1024
const SHORTENED_CHARACTERS = 1024
/** Outcomes of one simple query that are listed; the rest is counted. */
const MAX_OUTCOMES = 256

type Pending = Answered & {
  text: KeptText | undefined
  outcomes: Outcome[]
  /** `performance.now()` when the client asked. */
  since: number
  copy: CopyDirection | undefined
}

export class StatementLog {
  readonly #record: (event: StatementEvent) => void
  readonly #pending: Pending[] = []
  #pendingCharacters = 0
  /** After an error in the extended protocol the target ignores everything up to the next Sync. */
  #isSkipping = false
  readonly #statements = new PreparedNames()
  readonly #portals = new PreparedNames()
  /** What failed or skipped Parses and Binds would have named, until the next ReadyForQuery. */
  readonly #failedStatements = new PreparedNames()
  readonly #failedPortals = new PreparedNames()
  #clientCopyBytes = 0
  #targetCopyBytes = 0
  #wakers: (() => void)[] = []
  #hasSeenFatal = false
  #hasSeenTerminate = false

  constructor(record: (event: StatementEvent) => void) {
    this.#record = record
  }

  /** Whether the target has something to answer or to do. */
  get isBusy(): boolean {
    return this.#pending.length > 0
  }

  /** The target said why it is going to close the connection. */
  get hasSeenFatal(): boolean {
    return this.#hasSeenFatal
  }

  /** The client said goodbye. */
  get hasSeenTerminate(): boolean {
    return this.#hasSeenTerminate
  }

  /** Resolves when the client may send more; undefined if it may now. */
  room(): Promise<void> | undefined {
    if (this.#pending.length < MAX_PENDING) return undefined
    return new Promise((resolve) => this.#wakers.push(resolve))
  }

  /** A message of CLIENT_INTEREST. @throws PostgresProtocolError */
  onClientMessage(message: SeenMessage): void {
    const request = readClientRequest(message)
    switch (request.kind) {
      case 'copy-data':
        this.#clientCopyBytes += request.bytes
        break
      case 'copy-end':
        this.#endCopyIn()
        break
      case 'terminate':
        this.#hasSeenTerminate = true
        break
      case 'other':
        break
      case 'query':
      case 'parse':
      case 'bind':
      case 'describe':
      case 'execute':
      case 'close':
      case 'function':
      case 'sync':
        this.#ask(request)
    }
  }

  /** A message of TARGET_INTEREST. */
  onTargetMessage({ type, bodyLength, head }: SeenMessage): void {
    while (this.#pending[0]?.kind === 'copy-end') this.#pending.shift()
    switch (String.fromCharCode(type)) {
      case '1':
        this.#answer('parse', (request) => {
          this.#statements.set(request.statement ?? '', request.text)
          request.outcomes.push({ outcome: 'prepared' })
        })
        break
      case '2':
        this.#answer('bind', ({ portal, statement }) =>
          this.#portals.set(portal ?? '', this.#statements.get(statement ?? '')),
        )
        break
      case '3':
        this.#answer('close', ({ portal, statement }) => {
          if (statement !== undefined) this.#statements.delete(statement)
          if (portal !== undefined) this.#portals.delete(portal)
        })
        break
      case 'T':
      case 'n':
        this.#answer('describe')
        break
      case 's':
        this.#outcome({ outcome: 'suspended' })
        break
      case 'I':
        this.#outcome({ outcome: 'empty' })
        break
      case 'C': {
        const { tag, rows } = parseCommandTag(head)
        this.#outcome(rows === undefined ? { outcome: 'completed', tag } : { outcome: 'completed', tag, rows })
        break
      }
      case 'V':
        this.#pending[0]?.outcomes.push({ outcome: 'completed', tag: 'FUNCTION' })
        break
      case 'G':
        this.#beginCopy('in')
        break
      case 'H':
        this.#beginCopy('out')
        break
      case 'W':
        this.#beginCopy('both')
        break
      case 'd':
        this.#targetCopyBytes += bodyLength
        break
      case 'E':
        this.#fail(head)
        break
      case 'Z':
        this.#ready()
        break
    }
  }

  /** The connection is over: what was not answered is logged as it stands. */
  close(): void {
    while (this.#pending.length > 0) this.#finishHead({ outcome: 'unknown' })
  }

  // --- the queue ------------------------------------------------------------------------------------------------------

  #ask(request: Request | { kind: 'copy-end' }): void {
    const text = 'text' in request ? this.#keep(request.text) : undefined
    if (request.kind === 'sync') this.#isSkipping = false
    // All of one shape, whatever was asked: thousands of them are made in a second.
    this.#pending.push({
      kind: request.kind,
      statement: 'statement' in request ? request.statement : undefined,
      portal: 'portal' in request ? request.portal : undefined,
      oid: 'oid' in request ? request.oid : undefined,
      text,
      since: performance.now(),
      outcomes: [],
      moreOutcomes: 0,
      copy: undefined,
    })
    this.#pendingCharacters += text?.sql.length ?? 0
    // Nothing else waits while the target skips, so this is the head.
    if (this.#isSkipping) this.#skipHead()
  }

  #keep({ sql, isCut }: StatementText): KeptText {
    const isTooMuch = this.#pendingCharacters + sql.length > MAX_PENDING_CHARACTERS
    const limit = isTooMuch ? SHORTENED_CHARACTERS : SQL_MAX_BYTES
    // Without its secrets from here on: once for each text, not for each time that it is executed.
    return isCut || sql.length > limit
      ? { sql: redactSecrets(sql.slice(0, limit)), truncated: true }
      : { sql: redactSecrets(sql) }
  }

  /** The head if it is of this kind is answered and done; what does not fit is ignored (a target's own business). */
  #answer(kind: Pending['kind'], act?: (request: Pending) => void): void {
    const head = this.#pending[0]
    if (head?.kind !== kind) return
    act?.(head)
    this.#finishHead()
  }

  #outcome(outcome: Outcome): void {
    const head = this.#pending[0]
    if (head === undefined) return
    addOutcome(head, outcome)
    this.#finishCopy(head, outcome)
    if (head.kind === 'execute') this.#finishHead()
  }

  #fail(body: Buffer): void {
    const error = parseErrorFields(body)
    if (error.severity === 'FATAL' || error.severity === 'PANIC') this.#hasSeenFatal = true
    const head = this.#pending[0]
    if (head === undefined) return
    const outcome = errorOutcome(error)
    this.#finishCopy(head, outcome)
    if (head.kind === 'query' || head.kind === 'function' || head.kind === 'sync') {
      addOutcome(head, outcome)
      return
    }
    this.#rememberFailed(head)
    this.#finishHead(outcome)
    while (this.#pending[0] !== undefined && this.#pending[0].kind !== 'sync') this.#skipHead()
    this.#isSkipping = this.#pending.length === 0
  }

  #skipHead(): void {
    const head = this.#pending[0]
    if (head !== undefined) this.#rememberFailed(head)
    this.#finishHead({ outcome: 'skipped' })
  }

  #rememberFailed({ kind, statement, portal, text }: Pending): void {
    if (kind === 'parse') this.#failedStatements.set(statement ?? '', text)
    if (kind !== 'bind') return
    const bound = this.#failedStatements.get(statement ?? '') ?? this.#statements.get(statement ?? '')
    this.#failedPortals.set(portal ?? '', bound)
    // What the name stood for before is gone with the failed transaction.
    this.#portals.delete(portal ?? '')
  }

  #ready(): void {
    for (let head = this.#pending[0]; head !== undefined; head = this.#pending[0]) {
      const isEndOfCycle = head.kind === 'sync' || head.kind === 'query' || head.kind === 'function'
      this.#finishHead(isEndOfCycle ? undefined : { outcome: 'unknown' })
      if (isEndOfCycle) break
    }
    this.#failedStatements.clear()
    this.#failedPortals.clear()
  }

  /** Takes the head off the queue and tells what became of it. */
  #finishHead(outcome?: Outcome): void {
    const request = this.#pending.shift()
    if (request === undefined) return
    this.#pendingCharacters -= request.text?.sql.length ?? 0
    if (outcome !== undefined) addOutcome(request, outcome)
    const durationMs = elapsedMs(request.since)
    const event = statementEvent(request, this.#textOf(request), durationMs)
    if (event !== undefined) this.#record(event)
    if (this.#pending.length < MAX_PENDING) this.#wake()
  }

  /** The text of a request: its own, or that of the statement or portal that it names. */
  #textOf({ kind, text, statement = '', portal = '' }: Pending): KeptText | undefined {
    if (kind === 'bind') return this.#failedStatements.get(statement) ?? this.#statements.get(statement)
    if (kind === 'execute') return this.#failedPortals.get(portal) ?? this.#portals.get(portal)
    return text
  }

  #wake(): void {
    const wakers = this.#wakers
    this.#wakers = []
    for (const wake of wakers) wake()
  }

  // --- COPY -----------------------------------------------------------------------------------------------------------

  #beginCopy(direction: CopyDirection): void {
    const head = this.#pending[0]
    if (head === undefined) return
    head.copy = direction
    if (head.kind === 'execute' && direction === 'in') this.#dropSyncsBeforeCopyEnd()
  }

  /** While a target reads COPY data it ignores Sync, so those that came before the end of the data get no answer. */
  #dropSyncsBeforeCopyEnd(): void {
    const end = this.#pending.findIndex(({ kind }) => kind === 'copy-end')
    const before = this.#pending.splice(0, end < 0 ? this.#pending.length : end)
    this.#pending.unshift(...before.filter(({ kind }) => kind !== 'sync'))
  }

  /** CopyDone or CopyFail. Where the target's CopyInResponse has not come yet, a mark keeps the place in the queue. */
  #endCopyIn(): void {
    const head = this.#pending[0]
    if (head === undefined) return
    if (head.copy === undefined) this.#ask({ kind: 'copy-end' })
    else if (head.kind === 'execute') this.#dropSyncsBeforeCopyEnd()
  }

  #finishCopy(request: Pending, outcome: Outcome): void {
    const direction = request.copy
    if (direction === undefined) return
    request.copy = undefined
    const bytes = direction === 'out' ? this.#targetCopyBytes : this.#clientCopyBytes
    const durationMs = elapsedMs(request.since)
    this.#record(copyEvent(this.#textOf(request), { direction, bytes, outcome, durationMs }))
    this.#clientCopyBytes = this.#targetCopyBytes = 0
  }
}

function addOutcome(request: Pending, outcome: Outcome): void {
  if (request.outcomes.length < MAX_OUTCOMES) request.outcomes.push(outcome)
  else request.moreOutcomes++
}
