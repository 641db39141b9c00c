// Login requests: one open request per profile, answered by any login of that profile (G5), however many connections wait for
// it. Owns what becomes of it: touch and withdrawal (G8), the bounds of the wait (G9), failure and cool-down (G7), whether
// anybody may be disturbed (G10). Called by renewal.ts (which waits) and core.ts (which passes on what hosts do).
import type { LoginView } from '../../shared/app-state.ts'
import { PosternError } from '../../shared/errors.ts'
import type { LoginOutcome, LoginPrompt } from '../../shared/rpc.ts'
import type { Host, Hosts } from '../control/hosts.ts'
import type { Settings } from '../settings.ts'
import type { Attention } from './attention.ts'
import { CoolDown } from './cool-down.ts'
import { afterTimer, type After } from './deadline.ts'
import { OpenRequest, type RequestingProfile, type Wanting } from './open-request.ts'
import { SingleFlight } from './single-flight.ts'

export type { RequestingProfile, Wanting } from './open-request.ts'

type ProfileLogins = {
  readonly flight: SingleFlight<void>
  readonly coolDown: CoolDown
  open: OpenRequest | undefined
  submitting: number
}

type Options = {
  hosts: Hosts
  settings: () => Pick<Settings, 'loginWait' | 'loginHardLimit' | 'coolDown'>
  attention: Attention
  /** Wall time of this machine, in ms. */
  now: () => number
  after?: After
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
  readonly #after: After
  readonly #profiles = new Map<string, ProfileLogins>()

  constructor(options: Options) {
    this.#options = options
    this.#after = options.after ?? afterTimer
  }

  /**
   * Waits until somebody has logged in to the profile.
   * @throws PosternError `login_cancelled`, `login_failed`, `login_timeout`; the signal's reason if that aborts
   */
  async wait(profile: RequestingProfile, wanting: Wanting, signal: AbortSignal): Promise<void> {
    const logins = this.#of(profile.name)
    let endWait: (() => void) | undefined
    try {
      if (logins.coolDown.error && !wanting.isCommand) throw logins.coolDown.error
      logins.coolDown.end()
      // A request that was put before nobody, for a gateway that only retries, may be asked for the sake of another one.
      if (logins.open && !logins.open.who.isSomebody) this.#tryToAsk(logins.open, wanting)
      endWait = wanting.beginWait?.()
      const start = (abandoned: AbortSignal) => this.#request(logins, profile, wanting, abandoned)
      await logins.flight.join(start, signal)
    } catch (error) {
      const isUnanswered = error instanceof PosternError && error.kind === 'cancelled' && !signal.aborted
      if (isUnanswered && wanting.reason.kind === 'connection') {
        this.#options.attention.noteUnanswered(wanting.reason.gateway)
      }
      throw error
    } finally {
      endWait?.()
    }
  }

  /** Open requests by id, as the app shows them. */
  list(): ReadonlyMap<string, LoginView> {
    const views = new Map<string, LoginView>()
    for (const [profile, { open }] of this.#profiles) {
      if (!open) continue
      const ssoProgress = this.#options.ssoProgress(profile)
      views.set(open.id, { ...open.view, ...(ssoProgress === undefined ? {} : { ssoProgress }) })
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
    // With a question open for them, connections wait instead of being refused.
    logins.coolDown.end()
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
    if (request?.id !== requestId || (request.isTouched && !request.who.is(host.id)))
      throw new PosternError('not_found', 'this login is over, or is being answered elsewhere')
    return this.#moveTo(request, host)
  }

  #moveTo(request: OpenRequest, host: Host): LoginPrompt {
    request.who.ask(request.prompt, host)
    this.#options.onChanged(request.profile.name)
    return request.prompt
  }

  isCoolingDown(profile: string): boolean {
    return this.#of(profile).coolDown.error !== undefined
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
    open?.who.update(open.prompt)
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
    logins.open?.softDeadline.stop()
    this.#options.onChanged(profile)
    return () => {
      logins.submitting -= 1
      const { open } = logins
      if (open && logins.submitting === 0) {
        if (open.waiting > 0) this.#startSoftDeadline(open)
        else if (!open.who.isSomebody) this.#close(open, 'withdrawn', null, undefined)
      }
      this.#options.onChanged(profile)
    }
  }

  /** A login of the profile has succeeded and its certificates are published: everybody goes on (G5). */
  succeeded(profile: string): void {
    const logins = this.#of(profile)
    logins.coolDown.end()
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
      if (!open?.who.is(hostId)) continue
      open.who.forgetAsked()
      open.isTouched = false
      // While the person is at the identity provider the request stays: a window that is loaded anew comes back to it.
      if (open.waiting === 0 && submitting === 0) this.#close(open, 'withdrawn', null, undefined)
      else this.#ask(open)
      this.#options.onChanged(open.profile.name)
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
      if (open && !open.who.isSomebody) this.#tryToAsk(open, open.wanting)
    }
  }

  close(): void {
    for (const [profile, logins] of this.#profiles) {
      this.dismiss(profile, 'the Postern core ended')
      logins.coolDown.end()
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
    request.hardDeadline.start(this.#options.settings().loginHardLimit)
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
    const { hosts, now, randomId, onOpened } = this.#options
    onOpened(profile.name)
    return new OpenRequest({
      id: randomId(),
      profile,
      wanting,
      waiting,
      hosts,
      now,
      after: this.#after,
      onTimeout: (request) => this.#fail(request, 'timed out'),
    })
  }

  #ask(request: OpenRequest): void {
    if (this.#tryToAsk(request, request.wanting)) return
    request.who.tellAll(request.prompt)
    if (!this.#mayDisturb(request.wanting)) this.#options.onUnattended(request.profile.name)
  }

  /** Puts a request before a host, if there is one that can ask and nobody is disturbed who should not be. */
  #tryToAsk(request: OpenRequest, wanting: Wanting): boolean {
    if (!this.#mayDisturb(wanting) || !request.who.askFirst(request.prompt, wanting.hostId)) return false
    this.#options.onChanged(request.profile.name)
    return true
  }

  /** A person who has just given a command is there, whatever the screen says. */
  #mayDisturb({ isCommand, reason }: Wanting): boolean {
    return isCommand || this.#options.attention.mayDisturbFor(reason.kind === 'connection' ? reason.gateway : undefined)
  }

  /** The last waiting client has gone: an untouched question is taken back, a touched one stays as an ordinary login. */
  #leave(request: OpenRequest): void {
    request.stopDeadlines()
    request.waiting = 0
    if (!request.isTouched && this.#of(request.profile.name).submitting === 0) {
      this.#close(request, 'withdrawn', null, undefined)
      return
    }
    // Whoever fills it in sees that nobody waits any more.
    request.who.update(request.prompt)
    this.#options.onChanged(request.profile.name)
  }

  #startSoftDeadline(request: OpenRequest): void {
    request.softDeadline.start(this.#options.settings().loginWait)
  }

  #fail(request: OpenRequest, outcome: Failure): void {
    const error = new PosternError(...FAILURES[outcome])
    this.#of(request.profile.name).coolDown.begin(error, this.#options.settings().coolDown)
    this.#close(request, outcome, error.message, error)
  }

  #close(request: OpenRequest, outcome: LoginOutcome, text: string | null, error: PosternError | undefined): void {
    const profile = request.profile.name
    const logins = this.#of(profile)
    request.stopDeadlines()
    if (logins.open === request) logins.open = undefined
    request.who.close({ requestId: request.id, profile, outcome, text })
    request.settle(error)
    this.#options.onClosed(profile, outcome)
    this.#options.onChanged(profile)
  }

  #waitingChanged(profile: string, waiting: number): void {
    const request = this.#of(profile).open
    this.#options.onChanged(profile)
    if (!request || waiting === 0 || request.waiting === waiting) return
    request.waiting = waiting
    request.who.update(request.prompt)
  }

  #find(requestId: string): OpenRequest | undefined {
    for (const { open } of this.#profiles.values()) if (open?.id === requestId) return open
    return undefined
  }

  #of(profile: string): ProfileLogins {
    const known = this.#profiles.get(profile)
    if (known) return known
    const { now, onChanged } = this.#options
    const logins: ProfileLogins = {
      flight: new SingleFlight((waiting) => this.#waitingChanged(profile, waiting)),
      coolDown: new CoolDown({ after: this.#after, now, onEnded: () => onChanged(profile) }),
      open: undefined,
      submitting: 0,
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
