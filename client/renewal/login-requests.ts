// Login requests: one open request per profile, put before the host that can ask, answered by any login of that profile (G5).
// Owns who is asked, touch and withdrawal (G8), the bounds of the wait (G9) and the cool-down (G7). Called by renewal.ts
// (which waits) and core.ts (which passes on what hosts do).
import type { LoginView } from '../../shared/app-state.ts'
import { PosternError } from '../../shared/errors.ts'
import type { LoginOutcome, LoginPrompt, LoginReason } from '../../shared/rpc.ts'
import type { Host, Hosts } from '../control/hosts.ts'
import type { Settings } from '../settings.ts'
import type { Attention } from './attention.ts'
import { SingleFlight } from './single-flight.ts'

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

/** A deadline of the wait that runs now. */
type Deadline = { timer: NodeJS.Timeout; atMs: number }

type OpenRequest = {
  readonly id: string
  readonly profile: RequestingProfile
  readonly wanting: Wanting
  readonly requestedAtMs: number
  readonly settle: (error: PosternError | undefined) => void
  readonly settled: Promise<void>
  askedHostId: number | undefined
  isTouched: boolean
  waiting: number
  /** Ends the wait softly; not running while a password is on its way. */
  softDeadline: Deadline | undefined
  /** Ends it whatever happens. */
  hardDeadline: Deadline | undefined
}

type ProfileLogins = {
  flight: SingleFlight<void>
  open: OpenRequest | undefined
  submitting: number
  coolDown: { error: PosternError; timer: NodeJS.Timeout } | undefined
}

type Options = {
  hosts: Hosts
  settings: () => Pick<Settings, 'loginWait' | 'loginHardLimit' | 'coolDown'>
  attention: Attention
  /** Wall time of this machine, in ms. */
  now: () => number
  randomId: () => string
  /** Whatever changed for this profile (its request, who waits, cool-down): its gateways look at it again. */
  onChanged: (profile: string) => void
  /** How far a login in the browser is. */
  ssoProgress: (profile: string) => LoginView['ssoProgress']
  /** A request was opened, or is over. */
  onOpened: (profile: string) => void
  onClosed: (profile: string, outcome: LoginOutcome) => void
  /** A connection waits for a login and nobody is disturbed for it (G10). */
  onUnattended: (profile: string) => void
}

type Failure = Exclude<LoginOutcome, 'succeeded' | 'withdrawn'>

export class LoginRequests {
  readonly #options: Options
  readonly #profiles = new Map<string, ProfileLogins>()

  constructor(options: Options) {
    this.#options = options
  }

  /**
   * Waits until somebody has logged in to the profile.
   * @throws PosternError `login_cancelled`, `login_failed`, `login_timeout`; the signal's reason if that aborts
   */
  async wait(profile: RequestingProfile, wanting: Wanting, signal: AbortSignal): Promise<void> {
    const logins = this.#of(profile.name)
    try {
      if (logins.coolDown && !wanting.isCommand) throw logins.coolDown.error
      this.#endCoolDown(profile.name, logins)
      // A request that was put before nobody, for a gateway that only retries, may be asked for the sake of another one.
      if (logins.open && logins.open.askedHostId === undefined) this.#tryToAsk(logins.open, wanting)
      const start = (abandoned: AbortSignal) => this.#request(logins, profile, wanting, abandoned)
      await logins.flight.join(start, signal)
    } catch (error) {
      const isUnanswered = error instanceof PosternError && error.kind === 'cancelled' && !signal.aborted
      if (isUnanswered && wanting.reason.kind === 'connection') {
        this.#options.attention.noteUnanswered(wanting.reason.gateway)
      }
      throw error
    }
  }

  /** Open requests by id, as the app shows them. */
  list(): ReadonlyMap<string, LoginView> {
    const views = new Map<string, LoginView>()
    for (const [profile, { open }] of this.#profiles) {
      if (!open) continue
      const ssoProgress = this.#options.ssoProgress(profile)
      views.set(open.id, { ...viewOf(open), ...(ssoProgress === undefined ? {} : { ssoProgress }) })
    }
    return views
  }

  /**
   * Puts a login before a host's person, ahead of time: opens a request or takes over the one that is open. It stays while
   * nobody waits for it, until it is answered, cancelled or its host leaves.
   */
  ask(profile: RequestingProfile, host: Host): LoginPrompt {
    const logins = this.#of(profile.name)
    const wanting: Wanting = { reason: { kind: 'command', what: 'log in' }, hostId: host.id, isCommand: true }
    const request = (logins.open ??= this.#create(profile, wanting, 0))
    request.isTouched = true
    return this.#moveTo(request, host)
  }

  /**
   * Moves an open request to another host of the same person (a window of its own for it). It stays untouched: the move is no
   * sign of anybody (G8).
   * @throws PosternError `not_found` if it is over, or is being filled in where it is
   */
  move(profile: string, requestId: string, host: Host): LoginPrompt {
    const request = this.#of(profile).open
    if (request?.id !== requestId || (request.isTouched && request.askedHostId !== host.id))
      throw new PosternError('not_found', 'this login is over, or is being answered elsewhere')
    return this.#moveTo(request, host)
  }

  #moveTo(request: OpenRequest, host: Host): LoginPrompt {
    const profile = request.profile.name
    const asked = request.askedHostId === undefined ? undefined : this.#options.hosts.find(request.askedHostId)
    if (asked && asked !== host) {
      const text = 'it is being answered in another window'
      asked.send('login.closed', { requestId: request.id, profile, outcome: 'withdrawn', text })
    }
    request.askedHostId = host.id
    const prompt = promptOf(request)
    host.send('login.requested', prompt)
    this.#options.onChanged(profile)
    return prompt
  }

  isCoolingDown(profile: string): boolean {
    return this.#of(profile).coolDown !== undefined
  }

  /** The profile that an open request is for. */
  profileOf(requestId: string): string | undefined {
    return this.#find(requestId)?.profile.name
  }

  /** The person has begun to fill it in: it outlives the last waiting client (G8). */
  touch(requestId: string): void {
    const request = this.#find(requestId)
    if (request) request.isTouched = true
  }

  /** The person said no, or gave up after wrong passwords. */
  cancel(requestId: string, outcome: 'cancelled' | 'failed'): void {
    const request = this.#find(requestId)
    if (request) this.#fail(request, outcome)
  }

  /** What a prompt says of the profile may have changed: whoever was asked is told. */
  refresh(profile: string): void {
    const { open } = this.#of(profile)
    if (open) this.#tellAsked(open)
    this.#options.onChanged(profile)
  }

  /** Whether a login of this profile is asked for. */
  isOpen(profile: string): boolean {
    return this.#of(profile).open !== undefined
  }

  /** A password is on its way to the server, or the person is at the identity provider: the wait goes on, up to the hard limit. Call what it returns when the answer is there. */
  submitting(profile: string, requestId: string | undefined): () => void {
    const logins = this.#of(profile)
    logins.submitting += 1
    if (requestId !== undefined) this.touch(requestId)
    if (logins.open) stopSoftDeadline(logins.open)
    this.#options.onChanged(profile)
    return () => {
      logins.submitting -= 1
      const { open } = logins
      if (open && logins.submitting === 0) {
        if (open.waiting > 0) this.#startSoftDeadline(open)
        else if (open.askedHostId === undefined) this.#close(open, 'withdrawn', null, undefined)
      }
      this.#options.onChanged(profile)
    }
  }

  /** A login of the profile has succeeded and its certificates are published: everybody goes on (G5). */
  succeeded(profile: string): void {
    const logins = this.#of(profile)
    this.#endCoolDown(profile, logins)
    if (logins.open) this.#close(logins.open, 'succeeded', null, undefined)
  }

  /** Takes the question back without a cool-down: logout, or the core ends. */
  dismiss(profile: string, text: string): void {
    const request = this.#of(profile).open
    if (request) this.#close(request, 'cancelled', text, new PosternError('login_cancelled', text))
  }

  /** The request that this host was asked moves to the next one. */
  hostLeft(hostId: number): void {
    for (const { open, submitting } of this.#profiles.values()) {
      if (open?.askedHostId !== hostId) continue
      open.isTouched = false
      // While the person is at the identity provider the request stays: a window that is loaded anew comes back to it.
      if (open.waiting === 0 && submitting === 0) this.#close(open, 'withdrawn', null, undefined)
      else this.#ask(open)
    }
  }

  /** A window that comes is asked what nobody could be asked so far. */
  hostCame(hostId: number): void {
    const host = this.#options.hosts.find(hostId)
    if (host?.canAsk && host.kind !== 'terminal') this.presenceReturned()
  }

  /** Somebody may be there again: what still waits and nobody was asked for is put before them now (G10). */
  presenceReturned(): void {
    for (const { open } of this.#profiles.values()) {
      if (open && open.askedHostId === undefined) this.#tryToAsk(open, open.wanting)
    }
  }

  close(): void {
    for (const [profile, logins] of this.#profiles) {
      this.dismiss(profile, 'the Postern core ended')
      clearTimeout(logins.coolDown?.timer)
    }
  }

  /** Opens a request, or takes up one that stayed open because it was touched. Runs once for all who wait. */
  async #request(
    logins: ProfileLogins,
    profile: RequestingProfile,
    wanting: Wanting,
    abandoned: AbortSignal,
  ): Promise<void> {
    const request = (logins.open ??= this.#open(profile, wanting))
    request.hardDeadline = this.#deadline(request, this.#options.settings().loginHardLimit)
    if (logins.submitting === 0) this.#startSoftDeadline(request)
    const onAbandoned = () => this.#leave(request)
    abandoned.addEventListener('abort', onAbandoned, { once: true })
    try {
      await request.settled
    } finally {
      abandoned.removeEventListener('abort', onAbandoned)
    }
  }

  #open(profile: RequestingProfile, wanting: Wanting): OpenRequest {
    const request = this.#create(profile, wanting, 1)
    this.#ask(request)
    return request
  }

  #create(profile: RequestingProfile, wanting: Wanting, waiting: number): OpenRequest {
    this.#options.onOpened(profile.name)
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    // With nobody waiting (touched, abandoned) its end is nobody's error.
    promise.catch(() => undefined)
    return {
      id: this.#options.randomId(),
      profile,
      wanting,
      requestedAtMs: this.#options.now(),
      settled: promise,
      settle: (error) => (error ? reject(error) : resolve(undefined)),
      askedHostId: undefined,
      isTouched: false,
      waiting,
      softDeadline: undefined,
      hardDeadline: undefined,
    }
  }

  #ask(request: OpenRequest): void {
    const { hosts, onUnattended } = this.#options
    request.askedHostId = undefined
    if (this.#tryToAsk(request, request.wanting)) return
    hosts.broadcast('login.needed', promptOf(request))
    if (!this.#mayDisturb(request.wanting)) onUnattended(request.profile.name)
  }

  /** Puts a request before a host, if there is one that can ask and nobody is disturbed who should not be. */
  #tryToAsk(request: OpenRequest, wanting: Wanting): boolean {
    const host = this.#mayDisturb(wanting) ? this.#options.hosts.chooseAsker(wanting.hostId) : undefined
    if (!host) return false
    request.askedHostId = host.id
    host.send('login.requested', promptOf(request))
    return true
  }

  /** A person who has just given a command is there, whatever the screen says. */
  #mayDisturb({ isCommand, reason }: Wanting): boolean {
    return isCommand || this.#options.attention.mayDisturbFor(reason.kind === 'connection' ? reason.gateway : undefined)
  }

  /** The last waiting client has gone: an untouched question is taken back, a touched one stays as an ordinary login. */
  #leave(request: OpenRequest): void {
    stopDeadlines(request)
    request.waiting = 0
    if (!request.isTouched && this.#of(request.profile.name).submitting === 0) {
      this.#close(request, 'withdrawn', null, undefined)
      return
    }
    // Whoever fills it in sees that nobody waits any more.
    this.#tellAsked(request)
    this.#options.onChanged(request.profile.name)
  }

  #startSoftDeadline(request: OpenRequest): void {
    stopSoftDeadline(request)
    request.softDeadline = this.#deadline(request, this.#options.settings().loginWait)
  }

  #deadline(request: OpenRequest, inMs: number): Deadline {
    return {
      timer: setTimeout(() => this.#fail(request, 'timed out'), inMs),
      atMs: this.#options.now() + inMs,
    }
  }

  #fail(request: OpenRequest, outcome: Failure): void {
    const logins = this.#of(request.profile.name)
    const error = new PosternError(...FAILURES[outcome])
    this.#endCoolDown(request.profile.name, logins)
    const timer = setTimeout(() => this.#endCoolDown(request.profile.name, logins), this.#options.settings().coolDown)
    logins.coolDown = { error, timer }
    this.#close(request, outcome, error.message, error)
  }

  #close(request: OpenRequest, outcome: LoginOutcome, text: string | null, error: PosternError | undefined): void {
    const { hosts, onChanged } = this.#options
    const profile = request.profile.name
    const logins = this.#of(profile)
    stopDeadlines(request)
    if (logins.open === request) logins.open = undefined
    const event = { requestId: request.id, profile, outcome, text }
    const asked = request.askedHostId === undefined ? undefined : hosts.find(request.askedHostId)
    if (request.askedHostId === undefined) hosts.broadcast('login.closed', event)
    else asked?.send('login.closed', event)
    request.settle(error)
    this.#options.onClosed(profile, outcome)
    onChanged(profile)
  }

  #endCoolDown(profile: string, logins: ProfileLogins): void {
    if (!logins.coolDown) return
    clearTimeout(logins.coolDown.timer)
    logins.coolDown = undefined
    this.#options.onChanged(profile)
  }

  #waitingChanged(profile: string, waiting: number): void {
    const request = this.#of(profile).open
    this.#options.onChanged(profile)
    if (!request || waiting === 0 || request.waiting === waiting) return
    request.waiting = waiting
    this.#tellAsked(request)
  }

  #tellAsked(request: OpenRequest): void {
    if (request.askedHostId === undefined) return
    this.#options.hosts.find(request.askedHostId)?.send('login.updated', promptOf(request))
  }

  #find(requestId: string): OpenRequest | undefined {
    for (const { open } of this.#profiles.values()) if (open?.id === requestId) return open
    return undefined
  }

  #of(profile: string): ProfileLogins {
    const known = this.#profiles.get(profile)
    if (known) return known
    const logins: ProfileLogins = {
      flight: new SingleFlight((waiting) => this.#waitingChanged(profile, waiting)),
      open: undefined,
      submitting: 0,
      coolDown: undefined,
    }
    this.#profiles.set(profile, logins)
    return logins
  }
}

const FAILURES: Record<Failure, ['login_cancelled' | 'login_failed' | 'login_timeout', string]> = {
  cancelled: ['login_cancelled', 'the login was cancelled'],
  failed: ['login_failed', 'the login failed'],
  'timed out': ['login_timeout', 'nobody logged in in time'],
}

function stopSoftDeadline(request: OpenRequest): void {
  clearTimeout(request.softDeadline?.timer)
  request.softDeadline = undefined
}

function stopDeadlines(request: OpenRequest): void {
  stopSoftDeadline(request)
  clearTimeout(request.hardDeadline?.timer)
  request.hardDeadline = undefined
}

function viewOf(request: OpenRequest): LoginView {
  const deadlines = [request.softDeadline, request.hardDeadline].flatMap((one) => (one ? [one.atMs] : []))
  return {
    ...promptOf(request),
    requestedAt: new Date(request.requestedAtMs).toISOString(),
    deadlineAt: deadlines.length === 0 ? null : new Date(Math.min(...deadlines)).toISOString(),
  }
}

const promptOf = (request: OpenRequest): LoginPrompt => ({
  requestId: request.id,
  profile: request.profile.name,
  user: request.profile.user ?? '',
  reason: request.wanting.reason,
  waiting: request.waiting,
  totp: request.profile.totp,
  ...(request.profile.sso ? { sso: { name: request.profile.sso.name } } : {}),
})
