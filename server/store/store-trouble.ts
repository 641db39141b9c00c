// What is the matter with the store, as far as an error of it tells: gone, full, busy, read-only, damaged. Whoever answers clients says
// it in these words with a 503, since the request was right (W2); paths and the driver's text stay in the log (E1). Pure.

export const STORE_TROUBLES = {
  unreachable: 'its store cannot be reached',
  full: 'its store is full',
  busy: 'its store is busy with something else',
  readOnly: 'its store takes no changes',
  broken: 'its store cannot be read or written',
} as const
export type StoreTrouble = keyof typeof STORE_TROUBLES

/** SQLite's primary result codes (sqlite.org/rescode.html). */
const OF_SQLITE: Readonly<Record<number, StoreTrouble>> = {
  5: 'busy', // SQLITE_BUSY
  6: 'busy', // SQLITE_LOCKED
  8: 'readOnly', // SQLITE_READONLY
  10: 'broken', // SQLITE_IOERR
  11: 'broken', // SQLITE_CORRUPT
  13: 'full', // SQLITE_FULL
  14: 'broken', // SQLITE_CANTOPEN
  26: 'broken', // SQLITE_NOTADB
}
/** The same by their text, which is all that is left of an error of another thread. */
const TEXTS_OF_SQLITE: readonly (readonly [RegExp, StoreTrouble])[] = [
  [/database is locked|database table is locked/, 'busy'],
  [/attempt to write a readonly database/, 'readOnly'],
  [/database or disk is full/, 'full'],
  [/disk I\/O error|database disk image is malformed|unable to open database file|file is not a database/, 'broken'],
  [/driver has already been destroyed|database is not open|timeout exceeded when trying to connect/, 'unreachable'],
]
/** SQLSTATE and codes of the network (PostgreSQL, appendix A); the first that fits. */
const OF_POSTGRES: readonly (readonly [RegExp, StoreTrouble])[] = [
  [/^(53100|54000)$/, 'full'],
  [/^25006$/, 'readOnly'],
  [/^(55P03|57014|40001|40P01)$/, 'busy'],
  [/^(58|XX00[12])/, 'broken'],
  // Classes 08 (connection exception), 53 (insufficient resources), 57P (operator intervention).
  [/^(ECONN|ENOTFOUND|ETIMEDOUT|EPIPE|EHOSTUNREACH|08|53|57P)/, 'unreachable'],
]

/** Undefined: the statement was wrong, or it is no error of the store's at all. */
export function storeTroubleOf(error: unknown): StoreTrouble | undefined {
  if (!(error instanceof Error)) return undefined
  if ('errcode' in error && typeof error.errcode === 'number') return OF_SQLITE[error.errcode & 0xff]
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const match = (among: readonly (readonly [RegExp, StoreTrouble])[], text: string): StoreTrouble | undefined =>
    among.find(([pattern]) => pattern.test(text))?.[1]
  return match(OF_POSTGRES, code) ?? match(TEXTS_OF_SQLITE, error.message)
}
