// Logins in the browser, at the identity provider: one at a time for each profile. Gives out the link, holds those who wait while
// the person is away (G9), takes the browser back, redeems its answer, and keeps what became of it for a
// while, so that an old tab gets an answer. Called by core.ts for `login.sso`; nothing is opened here (G10).
import type { Logger } from 'pino'
import { SsoStartResponse } from '../../shared/login-api.ts'
import { PosternError } from '../../shared/errors.ts'
import type { CheckLocalUser } from '../gateways/local-user.ts'
import { askLoginWays, logInWithSso } from '../profiles/login.ts'
import type { Profile } from '../profiles/profile.ts'
import { CALLBACK_PATH, DONE_PATH, openSsoDoor, START_PATH, type Door, type DoorAnswer } from './door.ts'
import { failurePage, refusalPage, successPage } from './pages.ts'
import { readProviderAnswer, type ProviderAnswer } from './provider-answer.ts'
import {
  challengeOf,
  isSameSecret,
  isUnderWay,
  newAttempt,
  progressOf,
  type SsoAttempt,
  type SsoProgress,
} from './sso-attempt.ts'

/** A link works that long (W7), in ms; sooner if the server says so. */
const LINK_LIFE_MS = 10 * 60_000
/** Logins that are over are remembered for their old links, the latest ones; more were begun anew again and again. */
const REMEMBERED_MAX = 50
/** How often it is looked whether links have ended, in ms. */
const LOOK_INTERVAL_MS = 1000

type Options = {
  /** Wall time of this machine, in ms. */
  now: () => number
  checkLocalUser: CheckLocalUser
  /** Those who wait for a login to this profile do so until the returned function is called (LoginRequests.submitting). */
  hold: (profile: string, requestId: string | undefined) => () => void
  /** Renews what hangs on the login and lets everybody go on, as after a password; `release` in between. */
  onLoggedIn: (profile: Profile, release: () => void) => Promise<void>
  /** `progressOf` may say something else now. */
  onChanged: (profile: string) => void
  log: Logger
}

type Ending = { profile: string; settle: (error: PosternError | undefined) => void }

export class SsoLogins {
  readonly #options: Options
  /** Oldest first. */
  #attempts: SsoAttempt[] = []
  readonly #current = new Map<string, { attempt: SsoAttempt; release: () => void }>()
  readonly #waiting = new Set<Ending>()
  #door: Promise<Door> | undefined
  #port = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: Options) {
    this.#options = options
  }

  /**
   * Begins a login; one of this profile that is under way ends, and its link with it.
   * @returns the link, and when it ends in ms since the epoch
   * @throws PosternError `unsupported` where the cluster has no provider, `sso_unreachable`, `server_unreachable` …;
   * `login_cancelled` if it was given up meanwhile
   */
  async begin(
    profile: Profile,
    wanted: { hostId: number; requestId: string | undefined; ttlSeconds: number | undefined },
    signal: AbortSignal,
  ): Promise<{ url: string; expiresAtMs: number }> {
    const { now, hold } = this.#options
    const attempt = newAttempt({
      profile,
      hostId: wanted.hostId,
      ttlSeconds: wanted.ttlSeconds,
      sinceMs: now(),
      expiresAtMs: now() + LINK_LIFE_MS,
    })
    // The new one holds those who wait before the old one lets go.
    const release = once(hold(profile.name, wanted.requestId))
    this.#end(profile.name, 'over', new PosternError('login_cancelled', 'the login was begun anew elsewhere'))
    this.#current.set(profile.name, { attempt, release })
    this.#attempts = [...this.#attempts.slice(-REMEMBERED_MAX), attempt]
    try {
      const whole = AbortSignal.any([signal, attempt.abort.signal])
      const port = await this.#openDoor()
      await askLoginWays(profile, now, whole)
      if (!profile.sso)
        throw new PosternError('unsupported', `${profile.name} has no single sign-on; log in with a password`)
      const started = await profile.callAnonymously(
        {
          method: 'POST',
          path: '/v1/sso/start',
          body: {
            redirectUri: `http://127.0.0.1:${port}${CALLBACK_PATH}`,
            challenge: challengeOf(attempt.verifier),
          },
        },
        SsoStartResponse,
        whole,
      )
      whole.throwIfAborted()
      const lifeMs = Date.parse(started.expiresAt) - Date.parse(started.serverTime)
      attempt.expiresAtMs = now() + Math.min(LINK_LIFE_MS, lifeMs)
      attempt.begun = started
      attempt.step = 'browser'
    } catch (error) {
      const why = attempt.abort.signal.aborted ? (attempt.abort.signal.reason as Error) : error
      if (this.#current.get(profile.name)?.attempt === attempt) this.#end(profile.name, 'over', asPosternError(why))
      throw why
    }
    this.#options.onChanged(profile.name)
    return { url: this.#linkOf(attempt), expiresAtMs: attempt.expiresAtMs }
  }

  /**
   * Waits until the login of this profile that is under way is over.
   * @throws PosternError why there is no login; the signal's reason if that aborts
   */
  async ended(profile: string, signal: AbortSignal): Promise<void> {
    const current = this.#current.get(profile)?.attempt
    if (!current) throw new PosternError('not_found', `no login to ${profile} is under way in a browser`)
    if (current.step === 'failed' && current.error) throw current.error
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    const ending: Ending = { profile, settle: (error) => (error ? reject(error) : resolve(undefined)) }
    const onAbort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    this.#waiting.add(ending)
    try {
      if (signal.aborted) onAbort()
      await promise
    } finally {
      this.#waiting.delete(ending)
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** How far the login of this profile is, for its dialog. */
  progressOf(profile: string): SsoProgress | undefined {
    const current = this.#current.get(profile)
    return current && progressOf(current.attempt, this.#linkOf(current.attempt))
  }

  /** Somebody has logged in to the profile, in whatever way: a login in the browser is not needed any more. */
  loggedIn(profile: string): void {
    this.#end(profile, 'succeeded', undefined)
  }

  /** The person gave up, or logged out. */
  cancel(profile: string): void {
    this.#end(profile, 'over', new PosternError('login_cancelled', 'the login was cancelled'))
  }

  /** Logins that only this host has begun and nobody else sees end with it; those of an open request are its business. */
  hostLeft(hostId: number, hasRequest: (profile: string) => boolean): void {
    for (const [profile, { attempt }] of [...this.#current])
      if (attempt.hostId === hostId && !hasRequest(profile)) this.cancel(profile)
  }

  async close(): Promise<void> {
    for (const profile of [...this.#current.keys()]) this.cancel(profile)
    this.#attempts = []
    clearTimeout(this.#timer)
    await (await this.#door)?.close()
  }

  // --- the browser ----------------------------------------------------------------------------------------------------

  #start(token: string): DoorAnswer {
    const attempt = this.#attempts.find((one) => isSameSecret(one.token, token))
    if (!attempt?.begun) return this.#deadEnd(attempt)
    this.#look()
    // Opened again (a reload, a second tab) it leads to the provider again, as long as nothing came back.
    if (attempt.step !== 'browser') return this.#deadEnd(attempt)
    const maxAgeSeconds = Math.max(1, Math.ceil((attempt.expiresAtMs - this.#options.now()) / 1000))
    return { redirectTo: attempt.begun.authorizationUrl, cookie: { ...attempt.cookie, maxAgeSeconds } }
  }

  async #callback(query: string, cookies: ReadonlyMap<string, string>): Promise<DoorAnswer> {
    this.#look()
    const answer = readProviderAnswer(query)
    const ofState = this.#attempts.find(
      ({ begun }) => answer.state !== undefined && begun && isSameSecret(begun.state, answer.state),
    )
    const ofCookie = this.#attempts.find(({ cookie: { name, value } }) => isSameSecret(cookies.get(name) ?? '', value))
    // The state has to be one that went out, come back in the browser that it went out with, and for the first time (W7).
    if (!ofState || ofState !== ofCookie || ofState.step !== 'browser' || answer.kind === 'nonsense')
      return this.#deadEnd(ofState ?? ofCookie)
    await this.#redeem(ofState, answer)
    const { name } = ofState.cookie
    return { redirectTo: `${DONE_PATH}${ofState.doneToken}`, cookie: { name, value: undefined, maxAgeSeconds: 0 } }
  }

  #done(token: string): DoorAnswer {
    const attempt = this.#attempts.find((one) => isSameSecret(one.doneToken, token))
    // What has just failed is said, even where an earlier login is still good.
    if (attempt?.step === 'failed' && attempt.error) return { page: failurePage(sentence(attempt.error.message)) }
    return this.#deadEnd(attempt)
  }

  /** A link or an answer that leads nowhere (any more). With a login that is good anyway it is no error for the person (W7). */
  #deadEnd(attempt: SsoAttempt | undefined): DoorAnswer {
    if (!attempt) return { page: failurePage('Postern does not know this link, or it is too old.', 404) }
    const { profile, step, error } = attempt
    if (step === 'succeeded' || profile.usableCertificate) return { page: successPage(profile.name) }
    if (step === 'returned') return { page: refusalPage(200, 'One moment; load this page again.') }
    if (step === 'failed' && error) return { page: failurePage(sentence(error.message)) }
    if (step === 'over') return { page: failurePage('This login was ended in Postern.', 410) }
    return { page: failurePage('This answer does not belong to a login that this browser has begun.') }
  }

  // --- the login ------------------------------------------------------------------------------------------------------

  async #redeem(attempt: SsoAttempt, answer: Exclude<ProviderAnswer, { kind: 'nonsense' }>): Promise<void> {
    const { profile, begun, verifier, ttlSeconds, abort } = attempt
    const { now, log, onLoggedIn, onChanged } = this.#options
    if (!begun) return
    if (answer.kind === 'error') {
      log.info({ profile: profile.name, error: answer.error }, 'the identity provider refused a login')
      this.#fail(attempt, refusalOf(answer, profile.sso?.name ?? 'the identity provider'))
      return
    }
    attempt.step = 'returned'
    onChanged(profile.name)
    try {
      const { code, state, iss } = answer
      const finish = { ssoId: begun.ssoId, verifier, code, state, iss, ttlSeconds }
      await logInWithSso(profile, finish, now, abort.signal)
      const release = this.#current.get(profile.name)?.release
      // Ends this attempt too, by `loggedIn`.
      await onLoggedIn(profile, () => release?.())
    } catch (error) {
      log.info({ err: error, profile: profile.name }, 'a login in the browser failed')
      this.#fail(attempt, asPosternError(error))
    }
  }

  #fail(attempt: SsoAttempt, error: PosternError): void {
    const name = attempt.profile.name
    const current = this.#current.get(name)
    if (current?.attempt !== attempt || !isUnderWay(attempt)) return
    attempt.step = 'failed'
    attempt.error = error
    this.#settle(name, error)
    current.release()
    this.#options.onChanged(name)
  }

  /** The current login of a profile is over; nothing to do if there is none. */
  #end(profile: string, step: 'succeeded' | 'over', error: PosternError | undefined): void {
    const current = this.#current.get(profile)
    if (!current) return
    this.#current.delete(profile)
    const { attempt, release } = current
    const isFailed = attempt.step === 'failed'
    if (!isFailed || step === 'succeeded') attempt.step = step
    attempt.abort.abort(error)
    if (!isFailed) this.#settle(profile, error)
    release()
    this.#options.onChanged(profile)
  }

  #settle(profile: string, error: PosternError | undefined): void {
    for (const ending of this.#waiting) if (ending.profile === profile) ending.settle(error)
  }

  /** Ends what has run out, and forgets what nobody can ask for any more; without anything left the door closes. */
  #look(): void {
    const nowMs = this.#options.now()
    for (const { attempt } of [...this.#current.values()]) {
      if (attempt.step !== 'browser' || attempt.expiresAtMs > nowMs) continue
      this.#fail(attempt, new PosternError('sso_failed', 'the link has run out (10 minutes); start again'))
    }
    this.#attempts = this.#attempts.filter((one) => isUnderWay(one) || one.expiresAtMs + LINK_LIFE_MS > nowMs)
    clearTimeout(this.#timer)
    if (this.#attempts.length > 0) {
      this.#timer = setTimeout(() => this.#look(), LOOK_INTERVAL_MS)
      this.#timer.unref()
      return
    }
    const door = this.#door
    this.#door = undefined
    void door?.then((opened) => opened.close())
  }

  async #openDoor(): Promise<number> {
    const handlers = {
      start: (token: string) => this.#start(token),
      callback: (query: string, cookies: ReadonlyMap<string, string>) => this.#callback(query, cookies),
      done: (token: string) => this.#done(token),
    }
    const opening = (this.#door ??= openSsoDoor(handlers, this.#options.checkLocalUser))
    this.#look()
    try {
      this.#port = (await opening).port
      return this.#port
    } catch (error) {
      if (this.#door === opening) this.#door = undefined
      throw error
    }
  }

  #linkOf(attempt: SsoAttempt): string {
    return `http://127.0.0.1:${this.#port}${START_PATH}${attempt.token}`
  }
}

function refusalOf({ error, text }: { error: string; text: string | null }, provider: string): PosternError {
  if (error === 'temporarily_unavailable' || error === 'server_error')
    return new PosternError('sso_unreachable', `${provider} has a problem of its own (${text ?? error}); start again`)
  return new PosternError('sso_denied', `${provider} refused the login: ${text ?? error}`)
}

const asPosternError = (error: unknown): PosternError =>
  error instanceof PosternError
    ? error
    : new PosternError('internal', 'something went wrong inside the Postern core; see core.log', { cause: error })

/** Calls it the first time only. */
function once(act: () => void): () => void {
  let isDone = false
  return () => {
    if (isDone) return
    isDone = true
    act()
  }
}

/** Texts of the catalogue begin small. */
const sentence = (text: string): string => {
  const whole = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.!?…]$/.test(whole) ? whole : `${whole}.`
}
