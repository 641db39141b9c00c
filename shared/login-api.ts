// The part of the access server's JSON API that is about logins and one's own account: what anybody may ask before the login (ALPN
// http/1.1), the ways to log in, and what the person who is logged in does with that login (ALPN postern-control). Pure.
import { z } from 'zod'
import { Password, Pem, PermissionLevel, ServerCas, Time, TrustNews } from './api.ts'
import { Name } from './names.ts'

// --- before the login (ALPN http/1.1) ---------------------------------------------------------------------------------

/** GET /v1/cluster */
export const ClusterInfo = z.object({
  cluster: Name,
  version: z.string(),
  protocolVersion: z.number(),
  /** How people log in here; older servers know passwords only and do not say it. */
  login: z
    .object({
      password: z.boolean(),
      /** `name`: the identity provider, as people know it. */
      sso: z.object({ name: z.string().min(1).max(60) }).nullable(),
    })
    .optional(),
  cas: ServerCas,
  serverTime: Time,
})
export type ClusterInfo = z.infer<typeof ClusterInfo>

/** POST /v1/login. `csr` is a PEM PKCS#10 request (P-256): the key stays with the person (C1). */
export const LoginRequest = z.strictObject({
  user: z.string().min(1).max(63),
  password: Password,
  totp: z.string().max(16).optional(),
  csr: Pem,
  ttlSeconds: z.number().int().positive().optional(),
})
export type LoginRequest = z.infer<typeof LoginRequest>

/** POST /v1/setup: the first administrator, once, with the code that `postern server init` printed. */
export const SetupRequest = z.strictObject({
  setupCode: z.string().min(1).max(128),
  user: Name,
  password: Password,
  csr: Pem,
})
export type SetupRequest = z.infer<typeof SetupRequest>

export const LoginResponse = z.object({
  cluster: Name,
  user: Name,
  level: PermissionLevel,
  loginId: z.string(),
  /** PEM of the user certificate. */
  certificate: z.string(),
  expiresAt: Time,
  cas: ServerCas,
  serverTime: Time,
})
export type LoginResponse = z.infer<typeof LoginResponse>

/** base64url without padding of 32 bytes: PKCE's verifiers and S256 challenges (RFC 7636, 4.1 and 4.2). */
const Base64Url32 = z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'this is not the base64url of 32 bytes')

/**
 * POST /v1/sso/start: begins a login at the identity provider (OpenID Connect, code flow). `challenge` is the S256 challenge of a
 * verifier that only the caller has: without it nobody can finish this login. `redirectUri` is the caller's own loopback
 * listener (RFC 8252, 7.3).
 */
export const SsoStartRequest = z.strictObject({
  redirectUri: z
    .string()
    .regex(/^http:\/\/127\.0\.0\.1:[1-9]\d{0,4}\/callback$/, 'the way back is http://127.0.0.1:PORT/callback')
    .refine((uri) => Number(/:(\d+)\/callback$/.exec(uri)?.[1]) <= 65_535, 'there is no such port'),
  challenge: Base64Url32,
})
export type SsoStartRequest = z.infer<typeof SsoStartRequest>
export const SsoStartResponse = z.object({
  ssoId: z.string().min(1).max(64),
  /** Where the person's browser goes. */
  authorizationUrl: z.url({ protocol: /^https?$/ }),
  /** What the provider sends back with the browser; the caller checks it too. */
  state: z.string().min(16).max(200),
  /** Until then it can be finished, once. */
  expiresAt: Time,
  serverTime: Time,
})
export type SsoStartResponse = z.infer<typeof SsoStartResponse>

/** POST /v1/sso/finish: what the browser brought back, once; the answer is a LoginResponse as after a password. */
export const SsoFinishRequest = z.strictObject({
  ssoId: z.uuid(),
  verifier: Base64Url32,
  code: z.string().min(1).max(4096),
  state: z.string().min(1).max(200),
  /** Who sent the code, where the provider says it (RFC 9207). */
  iss: z.string().max(1000).optional(),
  csr: Pem,
  ttlSeconds: z.number().int().positive().optional(),
})
export type SsoFinishRequest = z.infer<typeof SsoFinishRequest>

// --- after the login (ALPN postern-control, user certificate) ---------------------------------------------------------

/**
 * POST /v1/login/certificate: the same login with the same end, signed by the user CA that signs now (C7). The login rests on
 * it once it was presented.
 */
export const CertificateRequest = z.strictObject({ csr: Pem })
export const CertificateResponse = z.object({
  certificate: z.string(),
  expiresAt: Time,
  ...TrustNews.shape,
  serverTime: Time,
})

/** GET /v1/me */
export const Me = z.object({
  cluster: Name,
  user: Name,
  email: z.string().nullable(),
  level: PermissionLevel,
  loginId: z.string(),
  expiresAt: Time,
  totp: z.boolean(),
  roles: z.array(z.object({ role: Name, until: Time.nullable() })),
  ...TrustNews.shape,
  serverTime: Time,
})
export type Me = z.infer<typeof Me>

/** POST /v1/logout: ends this login, or all of the person's. */
export const LogoutRequest = z.strictObject({ everywhere: z.boolean().default(false) })

/** POST /v1/account/totp: starts enrolment; the seed counts only once a code of it came back to …/confirm. */
export const TotpStartRequest = z.strictObject({ password: Password })
export const TotpStartResponse = z.object({ secret: z.string(), uri: z.string(), serverTime: Time })
export const TotpConfirmRequest = z.strictObject({ code: z.string().min(6).max(16) })
/** POST /v1/account/password */
export const PasswordRequest = z.strictObject({
  current: Password,
  next: Password.min(8, 'a password has at least 8 characters'),
})
