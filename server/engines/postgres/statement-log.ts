// Watches both directions of one connection and tells, in order, every statement with what became of it (DB1, R5). It keeps
// a queue of what the client asked and the target has not answered; the protocol answers strictly in that order. Called by
// the engine, which hands over the messages of interest and gets events back.
//
// Memory: at most MAX_PENDING requests wait (then `room()` holds the client back until answers came). PostgreSQL sends
// what it has to say at the latest when its buffer of 8 KiB is full, which is 1,638 of the shortest answers, so a client that
// pipelines without Sync cannot be held for ever. Texts of waiting requests may take MAX_PENDING_CHARACTERS together; what
// comes beyond that is kept by its beginning only, marked as truncated.
// Source: PostgreSQL documentation, "Frontend/Backend Protocol", 55.2.2 to 55.2.7 and 55.2.6 (COPY).
import type { AuditEventName } from '../../../shared/api.ts'
import { parseCommandTag, parseErrorFields } from '../../../shared/wire/postgres/backend-messages.ts'
import * as frontend from '../../../shared/wire/postgres/frontend-messages.ts'
import type { Interest, SeenMessage } from '../../../shared/wire/postgres/message-framer.ts'
import { PreparedNames, type KeptText } from './prepared-names.ts'
import { redactSecrets } from './redact.ts'
import { sqlstateClass } from './sqlstate-class.ts'

/** Longest text of one statement in the log, in bytes. */
export const SQL_MAX_BYTES = 64 * 1024
const NAME_BYTES = 256
/** Parse carries a name before its text. */
export const CLIENT_INTEREST: Interest = {
  Q: SQL_MAX_BYTES,
  P: SQL_MAX_BYTES + NAME_BYTES,
  B: 2 * NAME_BYTES,
  E: NAME_BYTES,
  C: NAME_BYTES,
  F: 4,
  D: 0,
  S: 0,
  X: 0,
  d: 0,
  c: 0,
  f: 0,
}
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

/** What became of a statement. `unknown`: the connection ended before the answer came. */
export type Outcome =
  | { outcome: 'completed'; tag: string; rows?: number }
  | { outcome: 'prepared' | 'empty' | 'suspended' | 'skipped' | 'unknown' }
  | { outcome: 'error'; code: string; class: string; severity: string }

type CopyDirection = 'in' | 'out' | 'both'
type Pending = {
  kind: 'query' | 'parse' | 'bind' | 'describe' | 'execute' | 'close' | 'function' | 'sync' | 'copy-end'
  since: number
  outcomes: Outcome[]
  moreOutcomes: number
  text?: KeptText
  /** Name of the statement (parse, bind, close) or portal (bind, execute, close). */
  statement?: string
  portal?: string
  oid?: number
  copy?: CopyDirection
}

export type StatementEvent = { event: AuditEventName; detail: Record<string, unknown> }

export class StatementLog {
  readonly #record: (event: StatementEvent) => void
  readonly #now: () => number
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

  /** @param now milliseconds of a clock, for durations. */
  constructor(record: (event: StatementEvent) => void, now: () => number) {
    this.#record = record
    this.#now = now
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

  /** A message of CLIENT_INTEREST. */
  onClientMessage({ type, bodyLength, head }: SeenMessage): void {
    switch (String.fromCharCode(type)) {
      case 'Q': {
        this.#ask({ kind: 'query', text: this.#keep(frontend.parseQuery(head)) })
        return
      }
      case 'P': {
        const { name, ...text } = frontend.parseParse(head)
        this.#ask({ kind: 'parse', statement: name, text: this.#keep(text) })
        return
      }
      case 'B': {
        this.#ask({ kind: 'bind', ...frontend.parseBind(head) })
        return
      }
      case 'E': {
        this.#ask({ kind: 'execute', ...frontend.parseExecute(head) })
        return
      }
      case 'C': {
        const { kind, name } = frontend.parseClose(head)
        this.#ask({ kind: 'close', [kind]: name })
        return
      }
      case 'F': {
        this.#ask({ kind: 'function', ...frontend.parseFunctionCall(head) })
        return
      }
      case 'D': {
        this.#ask({ kind: 'describe' })
        return
      }
      case 'S': {
        this.#ask({ kind: 'sync' })
        return
      }
      case 'd':
        this.#clientCopyBytes += bodyLength
        return
      case 'c':
      case 'f': {
        this.#endCopyIn()
        return
      }
      case 'X':
        this.#hasSeenTerminate = true
        return
    }
  }

  /** A message of TARGET_INTEREST. */
  onTargetMessage({ type, bodyLength, head }: SeenMessage): void {
    this.#dropStrayCopyEnds()
    switch (String.fromCharCode(type)) {
      case '1': {
        this.#answer('parse', (request) => {
          this.#statements.set(request.statement ?? '', request.text)
          request.outcomes.push({ outcome: 'prepared' })
        })
        return
      }
      case '2': {
        this.#answer('bind', ({ portal, statement }) =>
          this.#portals.set(portal ?? '', this.#statements.get(statement ?? '')),
        )
        return
      }
      case '3': {
        this.#answer('close', ({ portal, statement }) => {
          if (statement !== undefined) this.#statements.delete(statement)
          if (portal !== undefined) this.#portals.delete(portal)
        })
        return
      }
      case 'T':
      case 'n': {
        this.#answer('describe')
        return
      }
      case 's': {
        this.#outcome({ outcome: 'suspended' })
        return
      }
      case 'I': {
        this.#outcome({ outcome: 'empty' })
        return
      }
      case 'C': {
        const { tag, rows } = parseCommandTag(head)
        this.#outcome({ outcome: 'completed', tag, ...(rows === undefined ? {} : { rows }) })
        return
      }
      case 'V':
        this.#pending[0]?.outcomes.push({ outcome: 'completed', tag: 'FUNCTION' })
        return
      case 'G': {
        this.#beginCopy('in')
        return
      }
      case 'H': {
        this.#beginCopy('out')
        return
      }
      case 'W': {
        this.#beginCopy('both')
        return
      }
      case 'd':
        this.#targetCopyBytes += bodyLength
        return
      case 'E': {
        this.#fail(head)
        return
      }
      case 'Z': {
        this.#ready()
        return
      }
    }
  }

  /** The connection is over: what was not answered is logged as it stands. */
  close(): void {
    while (this.#pending.length > 0) this.#finishHead({ outcome: 'unknown' })
  }

  #keep({ sql, isCut }: frontend.StatementText): KeptText {
    const isTooMuch = this.#pendingCharacters + sql.length > MAX_PENDING_CHARACTERS
    const limit = isTooMuch ? SHORTENED_CHARACTERS : SQL_MAX_BYTES
    return isCut || sql.length > limit ? { sql: sql.slice(0, limit), truncated: true } : { sql }
  }

  #ask(request: Omit<Pending, 'since' | 'outcomes' | 'moreOutcomes'>): void {
    const pending: Pending = { ...request, since: this.#now(), outcomes: [], moreOutcomes: 0 }
    if (pending.kind === 'sync') this.#isSkipping = false
    this.#pending.push(pending)
    this.#pendingCharacters += pending.text?.sql.length ?? 0
    // Nothing else waits while the target skips, so this is the head.
    if (this.#isSkipping) this.#skipHead()
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
    this.#addOutcome(head, outcome)
    if (head.copy !== undefined) this.#finishCopy(head, outcome)
    if (head.kind === 'execute') this.#finishHead()
  }

  #addOutcome(request: Pending, outcome: Outcome): void {
    if (request.outcomes.length < MAX_OUTCOMES) request.outcomes.push(outcome)
    else request.moreOutcomes++
  }

  #fail(body: Buffer): void {
    const { code, severity } = parseErrorFields(body)
    if (severity === 'FATAL' || severity === 'PANIC') this.#hasSeenFatal = true
    const head = this.#pending[0]
    if (head === undefined) return
    const outcome = { outcome: 'error', code, class: sqlstateClass(code), severity } as const
    if (head.copy !== undefined) this.#finishCopy(head, outcome)
    if (head.kind === 'query' || head.kind === 'function' || head.kind === 'sync') {
      this.#addOutcome(head, outcome)
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
  }

  #ready(): void {
    const isEndOfCycle = (kind: Pending['kind']) => kind === 'sync' || kind === 'query' || kind === 'function'
    while (this.#pending[0] !== undefined && !isEndOfCycle(this.#pending[0].kind))
      this.#finishHead({ outcome: 'unknown' })
    this.#finishHead()
    this.#failedStatements.clear()
    this.#failedPortals.clear()
  }

  // --- COPY -----------------------------------------------------------------------------------------------------------

  #beginCopy(direction: CopyDirection): void {
    const head = this.#pending[0]
    if (head === undefined) return
    head.copy = direction
    // While a target reads COPY data it ignores Sync, so those that came before the end of the data get no answer.
    if (head.kind === 'execute' && direction === 'in') this.#dropSyncsBeforeCopyEnd()
  }

  #dropSyncsBeforeCopyEnd(): void {
    const end = this.#pending.findIndex(({ kind }) => kind === 'copy-end')
    const before = this.#pending.splice(0, end < 0 ? this.#pending.length : end)
    this.#pending.unshift(...before.filter(({ kind }) => kind !== 'sync'))
  }

  /** CopyDone or CopyFail. Where the target's CopyInResponse has not come yet, a mark keeps the place in the queue. */
  #endCopyIn(): void {
    const head = this.#pending[0]
    if (head?.copy !== undefined) {
      if (head.kind === 'execute') this.#dropSyncsBeforeCopyEnd()
    } else if (head !== undefined) this.#ask({ kind: 'copy-end' })
  }

  #dropStrayCopyEnds(): void {
    while (this.#pending[0]?.kind === 'copy-end') this.#pending.shift()
  }

  #finishCopy(request: Pending, outcome: Outcome): void {
    const direction = request.copy
    delete request.copy
    this.#record({
      event: 'statement.copy',
      detail: {
        ...this.#textOf(request),
        direction,
        bytes: direction === 'out' ? this.#targetCopyBytes : this.#clientCopyBytes,
        outcomes: [outcome],
        durationMs: this.#now() - request.since,
      },
    })
    this.#clientCopyBytes = this.#targetCopyBytes = 0
  }

  // --- events ---------------------------------------------------------------------------------------------------------

  /** Takes the head off the queue and tells what became of it. */
  #finishHead(outcome?: Outcome): void {
    const request = this.#pending.shift()
    if (request === undefined) return
    this.#pendingCharacters -= request.text?.sql.length ?? 0
    if (outcome !== undefined) this.#addOutcome(request, outcome)
    const event = EVENT_OF[request.kind]
    const isWorthTelling =
      request.kind === 'bind' || request.kind === 'sync'
        ? request.outcomes.some((one) => one.outcome === 'error')
        : true
    if (event !== undefined && isWorthTelling) this.#record({ event, detail: this.#detailOf(request) })
    if (this.#pending.length < MAX_PENDING) this.#wake()
  }

  #detailOf(request: Pending): Record<string, unknown> {
    const { kind, statement, portal, oid, outcomes, moreOutcomes, since } = request
    return {
      ...this.#textOf(request),
      ...(statement === undefined ? {} : { statement }),
      ...(portal === undefined ? {} : { portal }),
      ...(oid === undefined ? {} : { oid }),
      // Deferred constraints and the like fail where the transaction ends, not where the statement was.
      ...(kind === 'sync' ? { at: 'sync' } : {}),
      outcomes,
      ...(moreOutcomes === 0 ? {} : { moreOutcomes }),
      durationMs: this.#now() - since,
    }
  }

  #textOf({ kind, text, statement, portal }: Pending): { sql?: string; truncated?: true } {
    const kept =
      text ??
      (kind === 'bind'
        ? (this.#failedStatements.get(statement ?? '') ?? this.#statements.get(statement ?? ''))
        : kind === 'execute'
          ? (this.#failedPortals.get(portal ?? '') ?? this.#portals.get(portal ?? ''))
          : undefined)
    return kept === undefined ? {} : { ...kept, sql: redactSecrets(kept.sql) }
  }

  #wake(): void {
    const wakers = this.#wakers
    this.#wakers = []
    for (const wake of wakers) wake()
  }
}

const EVENT_OF: Partial<Record<Pending['kind'], AuditEventName>> = {
  query: 'statement.query',
  parse: 'statement.prepare',
  bind: 'statement.bind',
  execute: 'statement.execute',
  function: 'statement.function',
  sync: 'statement.execute',
}
