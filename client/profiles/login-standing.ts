// How the login of a profile stands, as far as this machine knows: its certificate, whether it is over by the clock or by the
// server's word, whether the server refuses the person or cannot be reached. Pure, in memory; owned by profile.ts, which stores
// a certificate before it is published here.
import type { PosternError } from '../../shared/errors.ts'
import type { UserCertificate } from './profile-file.ts'
import { expiringWithinMs, timeLeft, type ProfileFacts } from './profile-state.ts'

export class LoginStanding {
  readonly #serverNow: () => number
  #certificate: UserCertificate | undefined
  #loginsUnderWay = 0
  #isEnded = false
  /** The end of the login was reckoned here, and the server's own clock has said the same since. */
  #isOver = false
  #refusal: PosternError | undefined
  #isOffline = false

  /** @param serverNow the server's clock, in ms since 1970 */
  constructor(certificate: UserCertificate | undefined, serverNow: () => number) {
    this.#certificate = certificate
    this.#serverNow = serverNow
  }

  /** The certificate of the login, whether it is worth presenting or not. */
  get certificate(): UserCertificate | undefined {
    return this.#certificate
  }

  /** The certificate as long as the server has not ended its login: with one that has run out, a session or the login can still be ended. */
  get notEnded(): UserCertificate | undefined {
    return this.#isEnded ? undefined : this.#certificate
  }

  /** The certificate that is worth presenting: there, not past its end by the server's clock, not ended by the server. */
  get usable(): UserCertificate | undefined {
    const certificate = this.notEnded
    return certificate && !this.#isOver && certificate.notAfterMs > this.#serverNow() ? certificate : undefined
  }

  /** The certificate that only our reckoning says is over: the server's clock has not been asked since. */
  get reckonedOver(): UserCertificate | undefined {
    return this.#isOver || this.usable ? undefined : this.notEnded
  }

  /** Why the server refuses this person. */
  get refusal(): PosternError | undefined {
    return this.#refusal
  }

  /** Milliseconds until the login ends; 0 if it has. */
  get remainingMs(): number {
    const certificate = this.usable
    return certificate ? certificate.notAfterMs - this.#serverNow() : 0
  }

  /** Moments at which the state changes by itself, in milliseconds from now. */
  momentsAheadMs(): number[] {
    const certificate = this.usable
    if (!certificate) return []
    const { remainingMs } = this
    return [remainingMs - expiringWithinMs(lifeMsOf(certificate)), remainingMs].filter((ms) => ms > 0)
  }

  get facts(): ProfileFacts {
    return {
      isLoggingIn: this.#loginsUnderWay > 0,
      isRefused: this.#refusal !== undefined,
      isOffline: this.#isOffline,
      login: this.#loginFact(),
    }
  }

  #loginFact(): ProfileFacts['login'] {
    const certificate = this.#certificate
    if (!certificate) return 'none'
    return this.#isEnded ? 'ended' : timeLeft(this.remainingMs, lifeMsOf(certificate))
  }

  presents(certificate: UserCertificate | undefined): boolean {
    return certificate !== undefined && certificate === this.#certificate
  }

  beginLogin(): void {
    this.#loginsUnderWay += 1
  }

  finishLogin(): void {
    this.#loginsUnderWay -= 1
  }

  /** A login has succeeded: the server was reached, and whatever was said of the one before is void. */
  begin(certificate: UserCertificate): void {
    this.#forget()
    this.#certificate = certificate
    this.#isOffline = false
  }

  /** The same login with another certificate. */
  replace(certificate: UserCertificate): void {
    this.#certificate = certificate
  }

  /** Logged out. */
  end(): void {
    this.#forget()
    this.#certificate = undefined
  }

  #forget(): void {
    this.#isEnded = false
    this.#isOver = false
    this.#refusal = undefined
  }

  /** The server was asked for its time because `reckoned` seemed to be over. */
  noteTimeAsked(reckoned: UserCertificate): void {
    this.#isOver = this.presents(reckoned) && !this.usable
  }

  /** What an answer of the server, or its absence, says. @param presented the certificate that it was an answer to */
  noteFailure(error: PosternError, presented: UserCertificate | undefined): void {
    this.#isOffline = error.code === 'server_unreachable'
    // An answer to a certificate that was swapped meanwhile says nothing about the new one.
    if (!this.presents(presented)) return
    if (error.kind === 'expired') this.#isEnded = true
    if (error.code === 'user_disabled' || error.code === 'bad_certificate') this.#refusal = error
  }

  /** The server answered; with the certificate presented, it does not refuse this person. */
  noteReached(hasPresented: boolean): void {
    this.#isOffline = false
    if (hasPresented) this.#refusal = undefined
  }
}

const lifeMsOf = (certificate: UserCertificate): number => certificate.notAfterMs - certificate.notBeforeMs
