// One profile: a cluster that the person signs in to, with its trust, its clock and the user certificate. Owns the swap of
// that certificate: built and stored whole, then published in one assignment; and every call to its server's API, from whose
// answers it learns. Called by login.ts, renewal/ and core.ts.
import type { z } from 'zod'
import { ClusterInfo } from '../../shared/login-api.ts'
import { PosternError } from '../../shared/errors.ts'
import type { ProfileView } from '../../shared/rpc.ts'
import { parseAddress, type Cluster } from '../cluster/address.ts'
import { callApi } from '../cluster/api.ts'
import { createServerClock, type ServerClock } from '../cluster/clock.ts'
import type { ApiRequest } from '../cluster/exchange.ts'
import { fingerprintOf } from '../cluster/ca.ts'
import { unknownTunnelSupport } from '../cluster/route-tunnels.ts'
import type { HeardTrust } from '../cluster/trust-news.ts'
import { SingleFlight } from '../renewal/single-flight.ts'
import { MachineRun, type NoteStep } from '../state-machine.ts'
import type { KeyProtection } from './key-protection.ts'
import { LoginStanding } from './login-standing.ts'
import type { StoredProfile, UserCertificate } from './profile-file.ts'
import { ProfileRecord } from './profile-record.ts'
import { PROFILE_MACHINE, type ProfileFacts, type ProfileState } from './profile-state.ts'

/** Answers of the server come sooner or later by a little: only more than that is news of its clock, in ms. */
const CLOCK_NEWS_MS = 1000

type Signing = { user: string; level: StoredProfile['level']; totp: boolean; certificate: UserCertificate }

export class Profile {
  readonly name: string
  readonly clock: ServerClock
  /** Whether its server knows tunnels, as far as gateways have found out. */
  readonly tunnelSupport = unknownTunnelSupport()
  readonly #record: ProfileRecord
  readonly #now: () => number
  readonly #onChanged: (profile: Profile) => void
  readonly #states: MachineRun<ProfileState, ProfileFacts, string>
  readonly #askingTime = new SingleFlight<unknown>()
  readonly #onCertificateAged: (profile: Profile) => void
  readonly #onProblem: (text: string, cause: unknown) => void
  readonly #login: LoginStanding
  #couldNotStoreCas = false
  #isLive = false
  #resourcesVersion = 0

  constructor(options: {
    dir: string
    stored: StoredProfile
    certificate: UserCertificate | undefined
    keys: KeyProtection
    now: () => number
    /** Told when something of `view()` may be another than before; time alone tells nobody. */
    onChanged: (profile: Profile) => void
    noteStep: NoteStep
    /** The server wants the user certificate to be had anew (C7). */
    onCertificateAged: (profile: Profile) => void
    onProblem: (text: string, cause: unknown) => void
  }) {
    this.name = options.stored.profile
    this.#record = new ProfileRecord(options)
    this.#now = options.now
    this.#onChanged = options.onChanged
    this.#onCertificateAged = options.onCertificateAged
    this.#onProblem = options.onProblem
    const clock = createServerClock(options.now, options.stored.clockOffsetMs)
    this.clock = {
      ...clock,
      note: (serverMs) => {
        const before = clock.offsetMs()
        clock.note(serverMs)
        if (Math.abs(clock.offsetMs() - before) >= CLOCK_NEWS_MS) this.#changed()
      },
    }
    this.#login = new LoginStanding(options.certificate, () => this.clock.now())
    this.#states = new MachineRun(PROFILE_MACHINE, this.#login.facts, options.noteStep)
  }

  get #stored(): StoredProfile {
    return this.#record.stored
  }

  get cluster(): Cluster {
    return { address: parseAddress(this.#stored.address), caPems: this.#stored.caPems }
  }

  get user(): string | null {
    return this.#stored.user
  }

  get totp(): boolean {
    return this.#stored.totp
  }

  /** The identity provider that people can log in with, as last heard of the server. */
  get sso(): StoredProfile['sso'] {
    return this.#stored.sso
  }

  get usedAtMs(): number {
    return this.#stored.usedAtMs
  }

  /** Of the CA that signs. */
  get fingerprint(): string {
    return fingerprintOf(this.#stored.caPems[0] ?? '')
  }

  /** The user certificate that is worth presenting: there, not past its end by the server's clock, not ended by the server. */
  get usableCertificate(): UserCertificate | undefined {
    return this.#login.usable
  }

  /** Why the server refuses this person, whatever their certificate says (disabled, unknown certificate). */
  get refusal(): PosternError | undefined {
    return this.#login.refusal
  }

  /** Milliseconds until the login ends; 0 if it has. */
  get remainingMs(): number {
    return this.#login.remainingMs
  }

  /** Moments at which its state changes by itself, in milliseconds from now. */
  momentsAheadMs(): number[] {
    return this.#login.momentsAheadMs()
  }

  get state(): ProfileState {
    return this.#states.look(this.#login.facts)
  }

  view(): ProfileView {
    const { certificate } = this.#login
    return {
      profile: this.name,
      address: this.#stored.address,
      fingerprint: this.fingerprint,
      user: this.#stored.user,
      level: this.#stored.level,
      state: this.state,
      expiresAt: certificate ? new Date(certificate.notAfterMs).toISOString() : null,
      remainingMs: certificate ? this.remainingMs : null,
      clockOffsetMs: this.clock.offsetMs(),
      live: this.#isLive,
      resourcesVersion: this.#resourcesVersion,
      sso: this.#stored.sso,
    }
  }

  /** A call before the login. */
  callAnonymously<T>(call: ApiRequest, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    return this.#call(call, schema, undefined, signal)
  }

  /** A call as the person. @throws PosternError `login_required` or `login_expired` without asking a server that would say the same */
  async callSignedIn<T>(call: ApiRequest, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    return this.#call(call, schema, await this.certificateToPresent(signal), signal)
  }

  /**
   * The user certificate, if it is worth presenting. Where only our reckoning says that it is over, the server is asked for its
   * time first: a clock that was set, or a machine that slept, must not send a person to log in for nothing (C6).
   * @throws PosternError `login_required`, `login_expired`: a login would help; `server_unreachable`
   */
  async certificateToPresent(signal: AbortSignal): Promise<UserCertificate> {
    const reckoned = this.#login.reckonedOver
    if (reckoned) {
      const askTime = { method: 'GET' as const, path: '/v1/cluster' }
      await this.#askingTime.join((abandoned) => this.callAnonymously(askTime, ClusterInfo, abandoned), signal)
      this.#login.noteTimeAsked(reckoned)
    }
    const certificate = this.usableCertificate
    if (!certificate) throw this.loginNeeded()
    return certificate
  }

  /**
   * A call that ends something of the person's own (a session, the login): the server takes a certificate that has run out for it.
   * @returns undefined where there is no login to present
   */
  async callToEnd<T>(call: ApiRequest, schema: z.ZodType<T>, signal: AbortSignal): Promise<T | undefined> {
    const certificate = this.#login.notEnded
    return certificate && this.#call(call, schema, certificate, signal)
  }

  /** The error that says that a login would help, and how to log in. */
  loginNeeded(): PosternError {
    return this.#login.certificate
      ? new PosternError(
          'login_expired',
          `your login to ${this.name} has expired; log in again: ${this.loginCommand()}`,
        )
      : new PosternError('login_required', `you are not logged in to ${this.name}; log in: ${this.loginCommand()}`)
  }

  /** The line that a person types to log in. */
  loginCommand(): string {
    return `postern login ${this.#stored.address}${this.#stored.user === null ? '' : ` --user ${this.#stored.user}`}`
  }

  /** Runs a login; the profile is `logging in` as long as it lasts. */
  async duringLogin<T>(login: () => Promise<T>): Promise<T> {
    this.#login.beginLogin()
    this.#changed()
    try {
      return await login()
    } finally {
      this.#login.finishLogin()
      this.#changed()
    }
  }

  /** Publishes a login that has succeeded, stored first: what a host is told must survive a crash. */
  async signIn(signing: Signing): Promise<void> {
    const { certificate, ...person } = signing
    await this.#record.inTurn(async () => {
      await this.#record.writeCertificate(certificate)
      await this.#record.write({ ...person, clockOffsetMs: this.clock.offsetMs(), usedAtMs: this.#now() })
      this.#login.begin(certificate)
    })
    this.#changed()
  }

  /**
   * The same login with another certificate (C7), stored first. Nothing happens if the login is another one by now, or over.
   * @returns whether it took the place of `current`
   */
  replaceCertificate(current: UserCertificate, fresh: UserCertificate): Promise<boolean> {
    return this.#record.inTurn(async () => {
      if (!this.#login.presents(current)) return false
      await this.#record.writeCertificate(fresh)
      // Logged out while it was written: that removes the file after this.
      if (!this.#login.presents(current)) return false
      this.#login.replace(fresh)
      this.#changed()
      return true
    })
  }

  async signOut(): Promise<void> {
    this.#login.end()
    this.#changed()
    await this.#record.removeCertificate()
  }

  /** The person turns to it: it is the current profile from now on. */
  async use(): Promise<void> {
    await this.#record.store({ usedAtMs: this.#now() })
    this.#changed()
  }

  /** What the server says of its identity provider; stored where it is news, so that the next login dialog has the button at once. */
  async learnSso(sso: StoredProfile['sso']): Promise<void> {
    if (sso?.name === this.#stored.sso?.name) return
    await this.#record.store({ sso })
    this.#onChanged(this)
  }

  /** Forgets the login and removes the files. */
  async remove(): Promise<void> {
    await this.signOut()
    await this.#record.remove()
  }

  /** Another address or CA for this cluster, on the person's word. Another CA takes the login of the old one with it. */
  async trust(address: string, caPems: readonly string[], isOtherCa: boolean): Promise<void> {
    await this.#record.store({ address, caPems, usedAtMs: this.#now() })
    this.#changed()
    if (isOtherCa) await this.signOut()
  }

  /** What an answer of the server, or its absence, says about the login; called with every error of a call or a dial. */
  noteFailure(error: unknown, presented: UserCertificate | undefined): void {
    if (!(error instanceof PosternError)) return
    const before = this.state
    this.#login.noteFailure(error, presented)
    if (this.state !== before) this.#changed()
  }

  /** The server answered; with the user certificate presented, it does not refuse this person. */
  noteReached(hasPresented = false): void {
    const before = this.state
    this.#login.noteReached(hasPresented)
    if (this.state !== before) this.#changed()
  }

  #changed(): void {
    this.#states.look(this.#login.facts)
    this.#onChanged(this)
  }

  /** The control stream is up or down. */
  noteLive(isLive: boolean): void {
    if (this.#isLive === isLive) return
    this.#isLive = isLive
    this.#onChanged(this)
  }

  /** The server said, or may have said while nobody listened, that roles, grants or resources have changed. */
  noteAccessChanged(): void {
    this.#resourcesVersion += 1
    this.#onChanged(this)
  }

  /** Trusts the CAs that the server names over a verified connection, and those only, from the next connection on (C7). */
  async #trustAsTold(caPems: readonly string[]): Promise<void> {
    if (caPems.join() === this.#stored.caPems.join()) return
    try {
      await this.#record.store({ caPems })
      this.#couldNotStoreCas = false
      this.#onChanged(this)
    } catch (error) {
      // What is known goes on being trusted, and the next answer says it again.
      if (!this.#couldNotStoreCas)
        this.#onProblem(`the CAs of ${this.name} have changed and could not be stored`, error)
      this.#couldNotStoreCas = true
    }
  }

  async #call<T>(
    call: ApiRequest,
    schema: z.ZodType<T>,
    certificate: UserCertificate | undefined,
    signal: AbortSignal,
  ): Promise<T> {
    let heard: HeardTrust | undefined
    const { cluster } = this
    const context = {
      cluster,
      certificate,
      now: this.#now,
      noteServerTime: this.clock.note,
      noteTrust: (news: HeardTrust) => {
        heard = news
      },
      signal,
    }
    try {
      const answer = await callApi(context, call, schema)
      this.noteReached(certificate !== undefined)
      await this.#noteTrust(heard, cluster, certificate)
      return answer
    } catch (error) {
      this.noteFailure(error, certificate)
      throw error
    }
  }

  async #noteTrust(
    heard: HeardTrust | undefined,
    asked: Cluster,
    presented: UserCertificate | undefined,
  ): Promise<void> {
    // The person may have named another address or CA meanwhile: then this is old news.
    const isOfNow = asked.caPems === this.#stored.caPems && asked.address.text === this.#stored.address
    if (heard?.caPems && isOfNow) await this.#trustAsTold(heard.caPems)
    if (heard?.isCertificateAged && this.#login.presents(presented)) this.#onCertificateAged(this)
  }
}
