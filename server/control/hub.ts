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
  /** How many are open. */
  readonly size: number
  /** Says goodbye to all (1001); resolves when they are closed. */
  close(): Promise<void>
}

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
        if (byLogin.get(stream.loginId) === stream) byLogin.delete(stream.loginId)
      }
    },

    isCurrent: (stream) => byLogin.get(stream.loginId) === stream,

    loginEnded: (loginId, reason) => toEach([byLogin.get(loginId)], (stream) => stream.end(reason)),

    accessChanged(users) {
      const concerned = [...byLogin.values()].filter(({ user }) => users === 'all' || users.has(user))
      tell(concerned, { type: 'access.changed' })
    },

    sessionStarted: ({ loginId, ...session }) => tell([byLogin.get(loginId)], { type: 'session.started', ...session }),

    sessionEnded: ({ loginId, ...session }) => tell([byLogin.get(loginId)], { type: 'session.ended', ...session }),

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
