// Keeps one control stream for one profile up while its login is good: reconnects with growing pauses, and swaps it when the
// certificate is swapped (the new one up first, then the old one closed). Called by streams.ts. Nothing waits for it, nothing fails
// because of it.
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { CONTROL_CLOSE } from '../../shared/control.ts'
import { PosternError } from '../../shared/errors.ts'
import type { Profile } from '../profiles/profile.ts'
import type { UserCertificate } from '../profiles/profile-file.ts'
import { openControlStream, type ControlEvent, type ControlStream } from './stream.ts'
import { retryDelayMs, type ControlTimings } from './timings.ts'

export type ProfileStreamOptions = {
  profile: Profile
  timings: ControlTimings
  /** Wall time of this machine, in ms. */
  now: () => number
  /** From 0 to 1. */
  random: () => number
  /** @param certificate the one that the stream was opened with */
  onEvent: (profile: Profile, event: ControlEvent, certificate: UserCertificate) => void
  /** It is up again after it was down: what was said meanwhile was not heard. */
  onMissed: (profile: Profile) => void
  log: Logger
}

/** A stream that is not up yet: it is being opened, or waits for its next try, which `wake` makes now. */
type Attempt = { certificate: UserCertificate; end: AbortController; wake: () => void }

export class ProfileStream {
  readonly #options: ProfileStreamOptions
  #current: { certificate: UserCertificate; stream: ControlStream } | undefined
  #attempt: Attempt | undefined
  /** Not for this one any more: the person logs out. */
  #left: UserCertificate | undefined
  #failures = 0
  #isClosed = false

  constructor(options: ProfileStreamOptions) {
    this.#options = options
  }

  /** The profile's login may be another one, or over. */
  look(): void {
    const usable = this.#isClosed ? undefined : this.#options.profile.usableCertificate
    const wanted = usable === this.#left ? undefined : usable
    if (wanted === undefined) {
      this.#stop()
      return
    }
    if ((this.#attempt ?? this.#current)?.certificate === wanted) return
    this.#attempt?.end.abort()
    this.#failures = 0
    this.#connect(wanted, 0, false)
  }

  /** The machine or the person is back: tries at once, and asks whether the stream that is up still is. */
  wake(): void {
    this.#failures = 0
    this.#attempt?.wake()
    this.#current?.stream.askNow()
  }

  /** The login that there is now ends here on purpose: what the server says of that is no news. */
  leave(): void {
    this.#left = this.#options.profile.usableCertificate
    this.look()
  }

  close(): void {
    this.#isClosed = true
    this.#stop()
  }

  #stop(): void {
    this.#attempt?.end.abort()
    this.#attempt = undefined
    const current = this.#current
    this.#current = undefined
    current?.stream.close()
    this.#options.profile.noteLive(false)
  }

  #connect(certificate: UserCertificate, inMs: number, isAgain: boolean): void {
    const attempt: Attempt = { certificate, end: new AbortController(), wake: (): void => undefined }
    this.#attempt = attempt
    this.#connectUntilEnded(attempt, inMs, isAgain).catch((error: unknown) => {
      if (attempt.end.signal.aborted) return
      this.#options.log.error({ err: error }, 'the control stream was given up')
      if (this.#attempt === attempt) this.#attempt = undefined
    })
  }

  async #connectUntilEnded(attempt: Attempt, firstInMs: number, isAgain: boolean): Promise<void> {
    const { profile, timings, now, onEvent, log } = this.#options
    const { certificate, end } = attempt
    let inMs = firstInMs
    for (;;) {
      if (inMs > 0) await this.#pause(attempt, inMs)
      try {
        const stream = await openControlStream({
          cluster: profile.cluster,
          certificate,
          timings,
          now,
          noteServerTime: profile.clock.note,
          onEvent: (event) => onEvent(profile, event, certificate),
          signal: end.signal,
        })
        this.#opened(certificate, stream, isAgain)
        return
      } catch (error) {
        end.signal.throwIfAborted()
        inMs = retryDelayMs(this.#failures++, this.#options.random(), timings)
        log.info({ err: error, retryInMs: inMs }, 'no control stream')
        isAgain = true
        // What it says of the login counts as in any call; that this way is closed says nothing of the others.
        const isAboutLogin = error instanceof PosternError && (error.kind === 'expired' || error.kind === 'denied')
        if (isAboutLogin) profile.noteFailure(error, certificate)
      }
    }
  }

  #opened(certificate: UserCertificate, stream: ControlStream, isAgain: boolean): void {
    const { profile, now, timings, onMissed, log } = this.#options
    const before = this.#current
    const current = { certificate, stream }
    const sinceMs = now()
    this.#attempt = undefined
    this.#current = current
    before?.stream.close()
    log.info('control stream open')
    void stream.closed.then((code) => {
      if (this.#current !== current) return
      this.#current = undefined
      const isHealthy = now() - sinceMs >= timings.healthyAfterMs
      if (isHealthy) this.#failures = 0
      // Somebody else uses this login too: let it, and do not throw each other out again and again.
      const isReplaced = code === CONTROL_CLOSE.replaced
      const inMs = isReplaced ? timings.retryMaxMs : retryDelayMs(this.#failures++, this.#options.random(), timings)
      log.info({ code, retryInMs: inMs }, 'control stream closed')
      // Another certificate is on its way already, or is looked for below.
      if (!this.#attempt) this.#connect(certificate, inMs, true)
      profile.noteLive(false)
      this.look()
    })
    profile.noteLive(true)
    profile.noteReached(true)
    if (isAgain) onMissed(profile)
  }

  /** Ends early when woken. @throws the reason of the attempt's end */
  async #pause(attempt: Attempt, ms: number): Promise<void> {
    const woken = new AbortController()
    attempt.wake = () => woken.abort()
    try {
      await delay(ms, undefined, { ref: false, signal: AbortSignal.any([woken.signal, attempt.end.signal]) })
    } catch (error) {
      if (!woken.signal.aborted) throw error
    } finally {
      attempt.wake = () => undefined
    }
    attempt.end.signal.throwIfAborted()
  }
}
