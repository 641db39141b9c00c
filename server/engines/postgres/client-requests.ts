// What a client's message means to the statement log: requests that the target will answer, data of a COPY, goodbye. Reads
// the beginning of messages only; throws PostgresProtocolError for those that are malformed. Called by the statement log.
import * as frontend from '../../../shared/wire/postgres/frontend-messages.ts'
import type { Interest, SeenMessage } from '../../../shared/wire/postgres/message-framer.ts'

/** Longest text of one statement in the log, in bytes. */
export const SQL_MAX_BYTES = 64 * 1024
/** PostgreSQL takes names by their first 63 bytes, so longer ones need not be seen whole. */
const NAME_BYTES = 256

/** Messages of clients that matter to the log, with how much of each. Parse carries a name before its text. */
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

/** A request that the target answers, in order. `statement` and `portal` are names; the empty one is the unnamed. */
export type Request =
  | { kind: 'query'; text: frontend.StatementText }
  | { kind: 'parse'; statement: string; text: frontend.StatementText }
  | { kind: 'bind'; statement: string; portal: string }
  | { kind: 'execute'; portal: string }
  | { kind: 'close'; statement?: string; portal?: string }
  | { kind: 'function'; oid: number }
  | { kind: 'describe' | 'sync' }

export type ClientRequest =
  Request | { kind: 'copy-data'; bytes: number } | { kind: 'copy-end' | 'terminate' | 'other' }

/** Reads a message of CLIENT_INTEREST. */
export function readClientRequest({ type, bodyLength, head }: SeenMessage): ClientRequest {
  switch (String.fromCharCode(type)) {
    case 'Q':
      return { kind: 'query', text: frontend.parseQuery(head) }
    case 'P': {
      const { name, ...text } = frontend.parseParse(head)
      return { kind: 'parse', statement: name, text }
    }
    case 'B':
      return { kind: 'bind', ...frontend.parseBind(head) }
    case 'E':
      return { kind: 'execute', ...frontend.parseExecute(head) }
    case 'C': {
      const { kind, name } = frontend.parseClose(head)
      return { kind: 'close', [kind]: name }
    }
    case 'F':
      return { kind: 'function', ...frontend.parseFunctionCall(head) }
    case 'D':
      return { kind: 'describe' }
    case 'S':
      return { kind: 'sync' }
    case 'd':
      return { kind: 'copy-data', bytes: bodyLength }
    case 'c':
    case 'f':
      return { kind: 'copy-end' }
    case 'X':
      return { kind: 'terminate' }
    default:
      return { kind: 'other' }
  }
}
