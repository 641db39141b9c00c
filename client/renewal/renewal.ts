// The way of a re-login, for one profile: reissue with the user certificate; if the server says that a login would help, one
// login request for everybody; after it all routes are reissued and published together. Called by gateways/middleware.ts.
import type { Logger } from 'pino'
import { PosternError } from '../../shared/errors.ts'
import type { Profile } from '../profiles/profile.ts'
import { AheadOfTime } from './ahead-of-time.ts'
import { fewAtATime } from './few-at-a-time.ts'
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
  /** What came of reissuing a route, whatever it was reissued for: its gateway shows a refusal. */
  onReissued: (route: Route, error: Error | undefined) => void
  /** Something a person should read. */
  notice: (text: string, gateway: string) => void
  /** From 0 to 1. */
  random: () => number
  log: Logger
}

/** Routes reissued at once after a login. */
const AT_ONCE = 8

export class Renewal {
  readonly certificates = new RouteCertificates()
  readonly #options: Options
  readonly #ahead: AheadOfTime
  readonly #reissues = new Map<string, SingleFlight<RouteCertificate>>()
  /** Why the last reissue of a gateway failed, until one succeeds. */
  readonly #failures = new Map<string, Error>()

  constructor(options: Options) {
    this.#options = options
    const { certificates } = this
    const reissue = (route: Route, signal: AbortSignal): Promise<unknown> => this.reissue(route, signal)
    this.#ahead = new AheadOfTime({ ...options, certificates, reissue })
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
    // The no was to a login that somebody has renewed meanwhile: nobody is asked twice.
    if (this.#options.profile.usableCertificate) return this.reissue(route, signal)
    const before = this.certificates.find(route.gatewayId)
    const failureBefore = this.#failures.get(route.gatewayId)
    await this.#options.requests.wait(this.#options.profile, wanting, signal)
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
      this.#options.onReissued(route, undefined)
      this.#options.onPublished()
      return certificate
    }, signal)
  }

  /**
   * After a login: reissues all open routes of the profile and publishes what succeeded in one assignment (G12). One that
   * failed keeps its old certificate, and a notice says so. Never rejects.
   */
  async reissueAll(signal: AbortSignal): Promise<void> {
    const { profile, log, notice, openRoutes, onReissued, onPublished } = this.#options
    const fresh = new Map<string, RouteCertificate>()
    const routes = openRoutes()
    await fewAtATime(routes, AT_ONCE, async (route) => {
      try {
        fresh.set(route.gatewayId, await this.#issue(route, signal))
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error)
        log.warn({ err: error, gateway: route.gatewayId, resource: route.resource }, 'route was not reissued')
        // A refusal is told by its gateway, for whatever reason it was reissued.
        if (error instanceof PosternError && error.kind === 'denied') return
        const what = `the certificate for ${route.resource} as ${route.account} on ${profile.name}`
        notice(`${what} was not renewed: ${why}`, route.gatewayId)
      }
    })
    this.certificates.publish(fresh)
    for (const route of routes) if (fresh.has(route.gatewayId)) onReissued(route, undefined)
    onPublished()
  }

  /** Why the last reissue of a gateway's route failed; undefined where it succeeded. */
  failureOf(gatewayId: string): Error | undefined {
    return this.#failures.get(gatewayId)
  }

  /** When certificates are due to be renewed early, in milliseconds from now; not above zero: they are due. */
  momentsAheadMs(): number[] {
    return this.#ahead.momentsAheadMs()
  }

  /** Renews the certificates of open gateways that are due, without any person (G14). Never rejects. */
  renewEarly(signal: AbortSignal): void {
    void this.#ahead.renew(signal)
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
      if (error instanceof Error && !signal.aborted) {
        this.#failures.set(route.gatewayId, error)
        this.#options.onReissued(route, error)
      }
      throw error
    }
  }
}

const isLoginWanted = (error: unknown): boolean => error instanceof PosternError && error.kind === 'expired'
