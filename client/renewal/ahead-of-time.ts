// Route certificates renewed before they end, where no person is needed (G14): at two thirds of their life, with jitter, a few at
// a time. Correctness does not hang on it: what is missed here, the next connection renews. Called by renewal.ts.
import type { Logger } from 'pino'
import { PosternError } from '../../shared/errors.ts'
import type { Profile } from '../profiles/profile.ts'
import { fewAtATime } from './few-at-a-time.ts'
import type { Route, RouteCertificate } from './route-certificates.ts'

type Options = {
  profile: Pick<Profile, 'usableCertificate' | 'clock'>
  certificates: { find(gatewayId: string): Certificate | undefined }
  /** The routes of the gateways of this profile that are open now. */
  openRoutes: () => Route[]
  /** Whether its gateway listens: nothing is renewed ahead of time for one that cannot be used. */
  isListening: (route: Route) => boolean
  reissue: (route: Route, signal: AbortSignal) => Promise<unknown>
  /** From 0 to 1. */
  random: () => number
  log: Logger
}

const EARLY_FRACTION = 2 / 3
/** Where it failed, it is tried again after half of the time that is left. */
const RETRY_FRACTION = 1 / 2
/** A certificate that ends with the login cannot be had longer; both ends are rounded to seconds. */
const SAME_END_MS = 2000
/** Never sooner than that, whatever the life of a certificate, in ms. */
const RETRY_MIN_MS = 1000
/** Renewals under way at once, for one profile. */
const AT_ONCE = 4
/** With the server out of reach the whole profile is quiet for so long, doubled with each failure, in ms. */
const QUIET_MIN_MS = 1000
const QUIET_MAX_MS = 30_000

type Certificate = Pick<RouteCertificate, 'notAfterMs'>
type Early = { route: Route; certificate: Certificate; inMs: number }

export class AheadOfTime {
  readonly #options: Options
  /** When a certificate is to be renewed early, in ms by the server's clock; reckoned when it is first seen. */
  readonly #dues = new WeakMap<Certificate, number>()
  /** With the server out of reach: until when nothing is tried, by the server's clock, and for how long the next time; in ms. */
  #quietUntilMs = 0
  #quietMs = QUIET_MIN_MS

  constructor(options: Options) {
    this.#options = options
  }

  /** When certificates are due, in milliseconds from now; not above zero: they are. */
  momentsAheadMs(): number[] {
    return this.#early.map(({ inMs }) => inMs)
  }

  /** Renews those that are due. Errors go to the log only; a little later it is tried again. Never rejects. */
  async renew(signal: AbortSignal): Promise<void> {
    const { reissue, log } = this.#options
    const due = this.#early.filter(({ inMs }) => inMs <= 0)
    // At once for all, so that they are not due again while they wait for their turn.
    for (const { certificate } of due) this.#dues.set(certificate, this.#dueAfter(certificate, RETRY_FRACTION))
    let isOutOfReach = false
    const renewOne = async ({ route }: Early): Promise<void> => {
      try {
        await reissue(route, signal)
        this.#quietUntilMs = 0
        this.#quietMs = QUIET_MIN_MS
      } catch (error) {
        if (signal.aborted) return
        log.info({ err: error, gateway: route.gatewayId }, 'not renewed early')
        if (!isUnreachable(error) || isOutOfReach) return
        // What holds for one of them holds for all: the others are not even tried.
        isOutOfReach = true
        this.#quietUntilMs = this.#options.profile.clock.now() + this.#quietMs * this.#jitter()
        this.#quietMs = Math.min(QUIET_MAX_MS, this.#quietMs * 2)
      }
    }
    await fewAtATime(due, AT_ONCE, renewOne, () => isOutOfReach || signal.aborted)
  }

  /**
   * Open gateways whose certificate can be had anew and longer: not one that ends together with the login, and not one that has
   * ended (its next connection renews it).
   */
  get #early(): Early[] {
    const { profile, certificates, openRoutes, isListening } = this.#options
    const login = profile.usableCertificate
    if (!login) return []
    const nowMs = profile.clock.now()
    return openRoutes()
      .filter(isListening)
      .flatMap((route) => {
        const certificate = certificates.find(route.gatewayId)
        if (!certificate || certificate.notAfterMs <= nowMs) return []
        if (certificate.notAfterMs >= login.notAfterMs - SAME_END_MS) return []
        const dueMs = this.#dues.get(certificate) ?? this.#dueAfter(certificate, EARLY_FRACTION)
        this.#dues.set(certificate, dueMs)
        return [{ route, certificate, inMs: Math.max(dueMs, this.#quietUntilMs) - nowMs }]
      })
  }

  /** That fraction of the certificate's time from now on, with jitter. */
  #dueAfter(certificate: Certificate, fraction: number): number {
    const nowMs = this.#options.profile.clock.now()
    return nowMs + Math.max(RETRY_MIN_MS, (certificate.notAfterMs - nowMs) * fraction) * this.#jitter()
  }

  /** A tenth more or less, so that not all gateways come at once. */
  #jitter(): number {
    return 0.9 + this.#options.random() / 5
  }
}

const isUnreachable = (error: unknown): boolean => error instanceof PosternError && error.kind === 'unreachable'
