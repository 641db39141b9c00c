// A login: fresh key, request, proof to the server (a password, or what the browser brought back), certificate checked, then
// published and stored. Called by core.ts for `login.submit` and by sso/, whoever asked for it. Passwords and codes pass
// through and are kept nowhere.
import { ClusterInfo, LoginRequest, LoginResponse, SetupRequest, SsoFinishRequest } from '../../shared/login-api.ts'
import { PosternError } from '../../shared/errors.ts'
import { refuseClockSkew } from '../cluster/clock.ts'
import { createKeyRequest } from '../cluster/csr.ts'
import type { ApiRequest } from '../cluster/exchange.ts'
import { buildKeyedCertificate } from '../cluster/keyed-certificate.ts'
import type { Profile } from './profile.ts'
import { checkUserIdentity } from './profile-file.ts'

export type Credentials = {
  user?: string | undefined
  password: string
  totp?: string | undefined
  ttlSeconds?: number | undefined
  /** Makes the first administrator instead of logging in. */
  setupCode?: string | undefined
}

/**
 * Logs in to a profile's cluster.
 * @throws PosternError `bad_credentials`, `totp_required`, `totp_invalid`, `rate_limited`, `clock_skew`, … as the server says
 */
export function logIn(
  profile: Profile,
  credentials: Credentials,
  now: () => number,
  signal: AbortSignal,
): Promise<void> {
  return profile.duringLogin(async () => {
    const user = credentials.user ?? profile.user
    if (user === null)
      throw new PosternError('bad_request', `who logs in? name the person: ${profile.loginCommand()} --user NAME`)
    await askLoginWays(profile, now, signal)
    const call = (csr: string) => loginCall(user, csr, credentials)
    await obtainLogin(profile, user, call, credentials.totp !== undefined, signal)
  })
}

/** What the browser brought back from the identity provider, and what makes it ours. */
export type BroughtBack = {
  ssoId: string
  verifier: string
  code: string
  state: string
  iss: string | undefined
  ttlSeconds: number | undefined
}

/**
 * Redeems a login in the browser; who it is, the server says.
 * @throws PosternError `sso_failed`, `sso_denied`, `sso_unreachable`, `user_disabled`, `clock_skew`, … as the server says
 */
export function logInWithSso(
  profile: Profile,
  { iss, ttlSeconds, ...brought }: BroughtBack,
  now: () => number,
  signal: AbortSignal,
): Promise<void> {
  return profile.duringLogin(async () => {
    await askLoginWays(profile, now, signal)
    const more = { ...(iss === undefined ? {} : { iss }), ...(ttlSeconds === undefined ? {} : { ttlSeconds }) }
    const call = (csr: string) => post('/v1/sso/finish', SsoFinishRequest.parse({ ...brought, ...more, csr }))
    await obtainLogin(profile, profile.user ?? 'sso', call, profile.totp, signal)
  })
}

/** Key and request, the server's answer, and its certificate checked before anything is published. */
async function obtainLogin(
  profile: Profile,
  commonName: string,
  call: (csrPem: string) => ApiRequest,
  totp: boolean,
  signal: AbortSignal,
): Promise<void> {
  const { keyPem, csrPem } = await createKeyRequest(commonName)
  const answer = await profile.callAnonymously(call(csrPem), LoginResponse, signal)
  const certificate = buildKeyedCertificate(
    { certificatePem: answer.certificate, keyPem, caPems: profile.cluster.caPems },
    'user',
  )
  checkUserIdentity(certificate.identity, profile.name, answer.user)
  await profile.signIn({ user: answer.user, level: answer.level, totp, certificate })
}

/**
 * Asks for the server's time before a secret goes out, so that a wrong clock is named instead of a baffling certificate; what
 * it says of the ways to log in is kept.
 */
export async function askLoginWays(profile: Profile, now: () => number, signal: AbortSignal): Promise<void> {
  const info = await profile.callAnonymously({ method: 'GET', path: '/v1/cluster' }, ClusterInfo, signal)
  refuseClockSkew(Date.parse(info.serverTime), now())
  if (info.cluster !== profile.name) {
    throw new PosternError(
      'server_untrusted',
      `at this address now answers the cluster ${info.cluster}, not ${profile.name}`,
    )
  }
  await profile.learnSso(info.login?.sso ?? null)
}

const post = (path: string, body: unknown): ApiRequest => ({ method: 'POST', path, body })

function loginCall(user: string, csr: string, { password, totp, ttlSeconds, setupCode }: Credentials): ApiRequest {
  if (setupCode !== undefined) return post('/v1/setup', SetupRequest.parse({ setupCode, user, password, csr }))
  return post(
    '/v1/login',
    LoginRequest.parse({
      user,
      password,
      csr,
      ...(totp === undefined ? {} : { totp }),
      ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
    }),
  )
}
