// Time-based one-time codes (RFC 6238: SHA-1, 6 digits, 30 s). Pure; which step was used last is kept by the callers,
// which refuse it and all older ones (RFC 6238, 5.2).
import { Secret as OtpSecret, TOTP } from 'otpauth'
import { Secret } from '../secrets/secret.ts'

const PERIOD_S = 30
/** Steps that a phone's clock may be off, each way. */
const WINDOW = 1
/** 160 bits, as RFC 4226, section 4 recommends. */
const SEED_BYTES = 20

const totpOf = (seed: Secret): TOTP =>
  new TOTP({
    issuer: 'Postern',
    algorithm: 'SHA1',
    digits: 6,
    period: PERIOD_S,
    secret: OtpSecret.fromBase32(seed.reveal()),
  })

/** A new seed in base32. */
export const newTotpSeed = (): Secret => new Secret(new OtpSecret({ size: SEED_BYTES }).base32)

/** The `otpauth://` URI that authenticator apps read from a QR code. */
export function totpUri(seed: Secret, cluster: string, user: string): string {
  const totp = totpOf(seed)
  totp.issuer = `Postern ${cluster}`
  totp.label = user
  return totp.toString()
}

/** The 30 s step whose code this is, or undefined if it is none of the window's. Spaces in the code are allowed. */
export function matchTotpStep(seed: Secret, code: string, now: Date): number | undefined {
  const delta = totpOf(seed).validate({ token: code.replaceAll(' ', ''), timestamp: now.getTime(), window: WINDOW })
  // 0 is success in the current step: null alone is failure.
  return delta === null ? undefined : Math.floor(now.getTime() / 1000 / PERIOD_S) + delta
}
