// One login request while it is open: what it is for, who waits for it and until when (G9), and how it is shown. Made, answered and
// ended by login-requests.ts.
import type { LoginView } from '../../shared/app-state.ts'
import type { PosternError } from '../../shared/errors.ts'
import type { LoginPrompt, LoginReason } from '../../shared/rpc.ts'
import type { Hosts } from '../control/hosts.ts'
import { Deadline, type After } from './deadline.ts'
import { WhoIsAsked } from './who-is-asked.ts'

/** What a request needs to know of its profile. */
export type RequestingProfile = {
  readonly name: string
  readonly user: string | null
  readonly totp: boolean
  /** The identity provider that people can log in with. */
  readonly sso: { readonly name: string } | null
}

export type Wanting = {
  reason: LoginReason
  /** The host whose gateway was hit, or whose command it is. */
  hostId: number | undefined
  /** A command that a person just gave asks in a cool-down too. */
  isCommand: boolean
  /** Called when the wait for the person begins; what it returns is called when that is over. */
  beginWait?: () => () => void
}

export class OpenRequest {
  readonly id: string
  readonly profile: RequestingProfile
  readonly wanting: Wanting
  readonly who: WhoIsAsked
  /** Resolves when somebody has logged in, rejects with why nobody did. */
  readonly settled: Promise<void>
  readonly settle: (error: PosternError | undefined) => void
  /** Ends the wait softly; not running while a password is on its way. */
  readonly softDeadline: Deadline
  /** Ends it whatever happens. */
  readonly hardDeadline: Deadline
  /** The person has begun to fill it in, or asked for it: it outlives the last waiting client (G8). */
  isTouched = false
  waiting: number
  readonly #requestedAtMs: number

  constructor(options: {
    id: string
    profile: RequestingProfile
    wanting: Wanting
    waiting: number
    hosts: Hosts
    now: () => number
    after: After
    onTimeout: (request: OpenRequest) => void
  }) {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    // With nobody waiting (touched, abandoned) its end is nobody's error.
    promise.catch(() => undefined)
    this.settled = promise
    this.settle = (error) => (error ? reject(error) : resolve(undefined))
    this.id = options.id
    this.profile = options.profile
    this.wanting = options.wanting
    this.waiting = options.waiting
    this.who = new WhoIsAsked(options.hosts)
    this.#requestedAtMs = options.now()
    const { after, now } = options
    const run = (): void => options.onTimeout(this)
    this.softDeadline = new Deadline({ after, now, run })
    this.hardDeadline = new Deadline({ after, now, run })
  }

  stopDeadlines(): void {
    this.softDeadline.stop()
    this.hardDeadline.stop()
  }

  get prompt(): LoginPrompt {
    const { id, profile, wanting, waiting } = this
    return {
      requestId: id,
      profile: profile.name,
      user: profile.user ?? '',
      reason: wanting.reason,
      waiting,
      totp: profile.totp,
      ...(profile.sso ? { sso: { name: profile.sso.name } } : {}),
    }
  }

  get view(): LoginView {
    const deadlines = [this.softDeadline.atMs, this.hardDeadline.atMs].filter((atMs) => atMs !== undefined)
    return {
      ...this.prompt,
      requestedAt: new Date(this.#requestedAtMs).toISOString(),
      deadlineAt: deadlines.length === 0 ? null : new Date(Math.min(...deadlines)).toISOString(),
      asked: this.who.kind ?? null,
    }
  }
}
