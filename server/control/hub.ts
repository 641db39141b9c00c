// All control streams of this server process: one a login, capped (W8). Owns who is registered and who hears what; called by
// upgrade.ts (register) and, over the ControlHub seam, by whatever ends logins and sessions or changes access.
import type { Logger } from 'pino'
import type { ControlNews, LoginEndReason } from '../../shared/control.ts'
import { PosternError } from '../../shared/errors.ts'
import type { ControlHub } from '../seams.ts'

/** How many streams may be open at once. */
export type ControlLimits = { total: number; perUser: number }

/** One open stream as the hub sees it (stream.ts). */
export interface RegisteredStream {
  readonly loginId: string
  readonly user: string
  send(news: ControlNews): void
  /** Says why and closes; bounded, whatever the peer does. */
  end(reason: LoginEndReason | 'replaced' | 'stopping' | 'failed'): void
  readonly closed: Promise<void>
}

export interface ControlStreams extends ControlHub {
  /** @throws PosternError `rate_limited` if a stream more would be too many; the login's own one makes room for the next. */
  requireRoom(who: { user: string; loginId: string }): void
  /** From now on it hears the news. Call what it returns when it is closed. */
  register(stream: RegisteredStream): () => void
  /** Whether it is the one that its login has, and no other took its place. */
  isCurrent(stream: RegisteredStream): boolean
  /** Whether this login has one. */
  has(loginId: string): boolean
  /** How many are open. */
  readonly size: number
  /** Says goodbye to all (1001); resolves when they are closed. */
  close(): Promise<void>
}

/** How long after a look at everyone's sessions a login hears of them, in ms: clients look again every 2 s, after failures every 10. */
const LOOKS_FOR_MS = 15_000
/** Where many sessions begin and end, those who look are told once in so long, in ms: each look is a list of hundreds. */
const CHANGED_EVERY_MS = 1000

/** Who looks at everyone's sessions: until when, when it was told last, and the news that waits its turn (monotonic, in ms). */
type Looker = { until: number; toldAt: number; later: NodeJS.Timeout | undefined }

export function createControlStreams({ limits, log }: { limits: ControlLimits; log: Logger }): ControlStreams {
  const byLogin = new Map<string, RegisteredStream>()

  /** What fails for one stream must not keep the others from hearing it (W3). */
  const toEach = (streams: Iterable<RegisteredStream | undefined>, act: (stream: RegisteredStream) => void): void => {
    for (const stream of [...streams]) {
      if (!stream) continue
      try {
        act(stream)
      } catch (error) {
        log.error({ err: error, login: stream.loginId }, 'a control stream failed')
      }
    }
  }
  const tell = (streams: Iterable<RegisteredStream | undefined>, news: ControlNews): void =>
    toEach(streams, (stream) => stream.send(news))

  const lookers = new Map<string, Looker>()
  const forget = (loginId: string): void => {
    clearTimeout(lookers.get(loginId)?.later)
    lookers.delete(loginId)
  }

  /** The first change at once, those of the next second together at its end. */
  function tellLookers(exceptLogin: string): void {
    const now = performance.now()
    for (const [loginId, looker] of lookers) {
      if (looker.until < now) forget(loginId)
      // It hears of its own by name.
      if (loginId === exceptLogin || looker.until < now || looker.later !== undefined) continue
      const say = (): void => {
        looker.later = undefined
        looker.toldAt = performance.now()
        tell([byLogin.get(loginId)], { type: 'sessions.changed' })
      }
      const waitMs = looker.toldAt + CHANGED_EVERY_MS - now
      if (waitMs <= 0) say()
      else looker.later = setTimeout(say, waitMs).unref()
    }
  }

  return {
    requireRoom({ user, loginId }) {
      if (byLogin.has(loginId)) return
      const ofUser = [...byLogin.values()].filter((stream) => stream.user === user).length
      if (ofUser >= limits.perUser)
        throw new PosternError(
          'rate_limited',
          `${user} has ${ofUser} control streams open already, as many as the server allows (controlStreams.perUser); log out elsewhere, or go on without`,
        )
      if (byLogin.size >= limits.total)
        throw new PosternError(
          'rate_limited',
          'the access server has as many control streams open as it allows (controlStreams.total); go on without',
        )
    },

    register(stream) {
      const before = byLogin.get(stream.loginId)
      byLogin.set(stream.loginId, stream)
      toEach([before], (old) => old.end('replaced'))
      return () => {
        if (byLogin.get(stream.loginId) !== stream) return
        byLogin.delete(stream.loginId)
        forget(stream.loginId)
      }
    },

    has: (loginId) => byLogin.has(loginId),

    isCurrent: (stream) => byLogin.get(stream.loginId) === stream,

    loginEnded: (loginId, reason) => toEach([byLogin.get(loginId)], (stream) => stream.end(reason)),

    accessChanged(users) {
      const concerned = [...byLogin.values()].filter(({ user }) => users === 'all' || users.has(user))
      tell(concerned, { type: 'access.changed' })
    },

    looksAtEveryone(loginId) {
      if (!byLogin.has(loginId)) return
      const until = performance.now() + LOOKS_FOR_MS
      const known = lookers.get(loginId)
      if (known) known.until = until
      else lookers.set(loginId, { until, toldAt: -Infinity, later: undefined })
    },

    sessionStarted({ loginId, ...session }) {
      tell([byLogin.get(loginId)], { type: 'session.started', ...session })
      tellLookers(loginId)
    },

    sessionEnded({ loginId, ...session }) {
      tell([byLogin.get(loginId)], { type: 'session.ended', ...session })
      tellLookers(loginId)
    },

    casChanged: () => tell(byLogin.values(), { type: 'cas.changed' }),

    get size() {
      return byLogin.size
    },

    async close() {
      const open = [...byLogin.values()]
      toEach(open, (stream) => stream.end('stopping'))
      await Promise.all(open.map(({ closed }) => closed))
    },
  }
}
