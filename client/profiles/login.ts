// A login: fresh key, request, password to the server, certificate checked, then published and stored. Called by core.ts for
// `login.submit`, whoever asked for it. Passwords pass through and are kept nowhere.
import { LoginRequest, LoginResponse, SetupRequest, ClusterInfo } from '../../shared/api.ts'
import { PosternError } from '../../shared/errors.ts'
import { refuseClockSkew } from '../cluster/clock.ts'
import { createKeyRequest } from '../cluster/csr.ts'
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
    await refuseWrongClock(profile, now, signal)
    const { keyPem, csrPem } = await createKeyRequest(user)
    const answer = await profile.callAnonymously(loginCall(user, csrPem, credentials), LoginResponse, signal)
    const certificate = buildKeyedCertificate(
      { certificatePem: answer.certificate, keyPem, caPem: profile.cluster.caPem },
      'user',
    )
    checkUserIdentity(certificate.identity, profile.name, answer.user)
    await profile.signIn({
      user: answer.user,
      level: answer.level,
      totp: credentials.totp !== undefined,
      certificate,
    })
  })
}

/** Asks for the server's time before a password goes out, so that a wrong clock is named instead of a baffling certificate. */
async function refuseWrongClock(profile: Profile, now: () => number, signal: AbortSignal): Promise<void> {
  const info = await profile.callAnonymously({ method: 'GET', path: '/v1/cluster' }, ClusterInfo, signal)
  refuseClockSkew(Date.parse(info.serverTime), now())
  if (info.cluster !== profile.name) {
    throw new PosternError(
      'server_untrusted',
      `at this address now answers the cluster ${info.cluster}, not ${profile.name}`,
    )
  }
}

function loginCall(user: string, csr: string, { password, totp, ttlSeconds, setupCode }: Credentials) {
  const post = (path: string, body: unknown) => ({ method: 'POST' as const, path, body })
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
