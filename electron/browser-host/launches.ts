// Who may come in: one-time launch tokens and the sessions (cookies) that they are exchanged for. Used by serve.ts. Only digests
// are kept, so that a lookup takes the same time whatever was guessed.
import { createHash } from 'node:crypto'

/** Tokens that may wait to be used; the oldest goes first. Each `postern app url` makes one. */
const TOKENS_MAX = 32
/** Browsers that may be signed in at once; the oldest goes first. */
const SESSIONS_MAX = 64

export const COOKIE_NAME = 'postern'

export type Launches = {
  /** A new one-time token that leads to `path` of the app. */
  issue(path?: string): string
  /** The new session that a token is exchanged for, and where it leads; undefined if it was used before or never issued. */
  redeem(token: string): { session: string; path: string } | undefined
  /** Whether a Cookie header holds a session of ours. */
  isKnown(cookieHeader: string | undefined): boolean
}

/** @param randomText a fresh text of at least 256 bits, of letters, digits, `-` and `_` */
export function createLaunches(randomText: () => string): Launches {
  const tokens = new Map<string, string>()
  const sessions = new Map<string, true>()
  return {
    issue(path = '/') {
      const token = randomText()
      addBounded(tokens, digest(token), path, TOKENS_MAX)
      return token
    },
    redeem(token) {
      const path = tokens.get(digest(token))
      if (path === undefined) return undefined
      tokens.delete(digest(token))
      const session = randomText()
      addBounded(sessions, digest(session), true, SESSIONS_MAX)
      return { session, path }
    },
    isKnown: (cookieHeader) => cookiesOf(cookieHeader).some((value) => sessions.has(digest(value))),
  }
}

function addBounded<T>(map: Map<string, T>, key: string, value: T, limit: number): void {
  map.set(key, value)
  for (const oldest of map.keys()) {
    if (map.size <= limit) return
    map.delete(oldest)
  }
}

const digest = (text: string): string => createHash('sha256').update(text).digest('base64')

/** Values of our cookie (RFC 6265 §4.2.1); another one of that name beside it changes nothing. */
const cookiesOf = (header = ''): string[] =>
  header
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${COOKIE_NAME}=`))
    .map((pair) => pair.slice(COOKIE_NAME.length + 1))
