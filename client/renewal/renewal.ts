// The way of a re-login, for one profile: reissue with the user certificate; if the server says that a login would help, one
// login request for everybody; after it all routes are reissued and published together. Called by gateways/middleware.ts.
import type { Logger } from 'pino'
import { PosternError } from '../../shared/errors.ts'
import type { Profile } from '../profiles/profile.ts'
import type { LoginRequests, Wanting } from './login-requests.ts'
import { issueRouteCertificate, RouteCertificates, type Route, type RouteCertificate } from './route-certificates.ts'
import { SingleFlight } from './single-flight.ts'

type Options = {
  profile: Profile
  requests: LoginRequests
  /** The routes of the gateways of this profile that are open now. */
  openRoutes: () => Route[]
  /** Whether its gateway listens: nothing is renewed ahead of time for one that cannot be used. */
  isListening: (route: Route) => boolean
  /** Route certificates were published. */
  onPublished: () => void
  /** Something a person should read. */
  notice: (text: string, gateway: string) => void
  /** From 0 to 1. */
  random: () => number
  log: Logger
}

/** Renewed early at two thirds of its life (G14). */
const EARLY_FRACTION = 2 / 3
/** A certificate that ends with the login cannot be had longer; both ends are rounded to seconds. */
const SAME_END_MS = 2000
/** Never sooner than that, whatever the life of a certificate, in ms. */
const RETRY_MIN_MS = 1000

export class Renewal {
  readonly certificates = new RouteCertificates()
  readonly #options: Options
  readonly #reissues = new Map<string, SingleFlight<RouteCertificate>>()
  /** Why the last reissue of a gateway failed, until one succeeds. */
  readonly #failures = new Map<string, Error>()
  /** When a certificate is to be renewed early, in ms by the server's clock; reckoned when it is first seen. */
  readonly #dues = new WeakMap<RouteCertificate, number>()

  constructor(options: Options) {
    this.#options = options
  }

  /**
   * Gets a fresh certificate for one route, asking for a login if (and only if) the server says that this would help. After a
   * login it tries exactly once more (G4).
   * @throws PosternError why there is none; the signal's reason if that aborts
   */
  async renew(route: Route, wanting: Wanting, signal: AbortSignal): Promise<RouteCertificate> {
    try {
      return await this.reissue(route, signal)
    } catch (error) {
      if (!isLoginWanted(error)) throw error
    }
    const before = this.certificates.find(route.gatewayId)
    const failureBefore = this.#failures.get(route.gatewayId)
    const endWait = wanting.beginWait?.()
    try {
      await this.#options.requests.wait(this.#options.profile, wanting, signal)
    } finally {
      endWait?.()
    }
    // The login has reissued every open route; a gateway that is only being opened reissues its own.
    const fresh = this.certificates.find(route.gatewayId)
    if (fresh && fresh !== before) return fresh
    const failure = this.#failures.get(route.gatewayId)
    if (failure && failure !== failureBefore) throw failure
    return this.reissue(route, signal)
  }

  /** Reissues one route with the user certificate and publishes it; several callers share one request. */
  reissue(route: Route, signal: AbortSignal): Promise<RouteCertificate> {
    const flight = this.#reissues.get(route.gatewayId) ?? new SingleFlight<RouteCertificate>()
    this.#reissues.set(route.gatewayId, flight)
    return flight.join(async (abandoned) => {
      const certificate = await this.#issue(route, abandoned)
      this.certificates.publish(new Map([[route.gatewayId, certificate]]))
      this.#options.onPublished()
      return certificate
    }, signal)
  }

  /**
   * After a login: reissues all open routes of the profile and publishes what succeeded in one assignment (G12). One that
   * failed keeps its old certificate, and a notice says so. Never rejects.
   */
  async reissueAll(signal: AbortSignal): Promise<void> {
    const { profile, log, notice } = this.#options
    const fresh = new Map<string, RouteCertificate>()
    await Promise.all(
      this.#options.openRoutes().map(async (route) => {
        try {
          fresh.set(route.gatewayId, await this.#issue(route, signal))
        } catch (error) {
          const why = error instanceof Error ? error.message : String(error)
          log.warn({ err: error, gateway: route.gatewayId, resource: route.resource }, 'route was not reissued')
          const what = `the certificate for ${route.resource} as ${route.account} on ${profile.name}`
          notice(`${what} was not renewed: ${why}`, route.gatewayId)
        }
      }),
    )
    this.certificates.publish(fresh)
    this.#options.onPublished()
  }

  /** When certificates are due to be renewed early, in milliseconds from now; not above zero: they are due. */
  momentsAheadMs(): number[] {
    return this.#early.map((early) => early.inMs)
  }

  /**
   * Renews the certificates of open gateways that are due, without any person (G14): correctness does not hang on it, the next
   * connection would renew them too. Errors go to the log only; a little later it is tried again.
   */
  renewEarly(signal: AbortSignal): void {
    for (const { route, certificate, inMs } of this.#early) {
      if (inMs > 0) continue
      this.#dues.set(certificate, this.#dueAfter(certificate, 1 / 2))
      this.reissue(route, signal).catch((error: unknown) => {
        if (!signal.aborted) this.#options.log.info({ err: error, gateway: route.gatewayId }, 'not renewed early')
      })
    }
  }

  /**
   * Open gateways whose certificate can be had anew and longer: not one that ends together with the login, and not one that has
   * ended (its next connection renews it).
   */
  get #early(): { route: Route; certificate: RouteCertificate; inMs: number }[] {
    const { profile, openRoutes, isListening } = this.#options
    const login = profile.usableCertificate
    if (!login) return []
    return openRoutes()
      .filter(isListening)
      .flatMap((route) => {
        const certificate = this.certificates.find(route.gatewayId)
        const nowMs = profile.clock.now()
        if (!certificate || certificate.notAfterMs <= nowMs) return []
        if (certificate.notAfterMs >= login.notAfterMs - SAME_END_MS) return []
        const dueMs = this.#dues.get(certificate) ?? this.#dueAfter(certificate, EARLY_FRACTION)
        this.#dues.set(certificate, dueMs)
        return [{ route, certificate, inMs: dueMs - nowMs }]
      })
  }

  /** That fraction of the certificate's time from now on, a tenth more or less, so that not all gateways come at once. */
  #dueAfter(certificate: RouteCertificate, fraction: number): number {
    const nowMs = this.#options.profile.clock.now()
    const jitter = 0.9 + this.#options.random() / 5
    return nowMs + Math.max(RETRY_MIN_MS, (certificate.notAfterMs - nowMs) * fraction * jitter)
  }

  forget(gatewayId: string): void {
    this.certificates.remove(gatewayId)
    this.#failures.delete(gatewayId)
    this.#reissues.delete(gatewayId)
  }

  async #issue(route: Route, signal: AbortSignal): Promise<RouteCertificate> {
    try {
      const certificate = await issueRouteCertificate(this.#options.profile, route, signal)
      this.#failures.delete(route.gatewayId)
      return certificate
    } catch (error) {
      if (error instanceof Error && !signal.aborted) this.#failures.set(route.gatewayId, error)
      throw error
    }
  }
}

const isLoginWanted = (error: unknown): boolean => error instanceof PosternError && error.kind === 'expired'
