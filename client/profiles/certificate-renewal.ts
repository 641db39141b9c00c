// The user certificate had anew without a person, because the CA that it rests on is on its way out (C7): same login, same end,
// fresh key. Correctness does not hang on it: without it the login ends with its CA, and the person is asked. Called by core.ts
// when an answer of the server says so.
import type { Logger } from 'pino'
import { CertificateResponse, Me } from '../../shared/login-api.ts'
import { PosternError } from '../../shared/errors.ts'
import { createKeyRequest } from '../cluster/csr.ts'
import { buildKeyedCertificate } from '../cluster/keyed-certificate.ts'
import type { Profile } from './profile.ts'

/** A server that goes on asking is not answered more often than that, in ms. */
const RETRY_MIN_MS = 60_000

type Options = {
  /** Wall time of this machine, in ms. */
  now: () => number
  signal: AbortSignal
  log: Logger
}

/** @returns begins a renewal, unless one of that profile runs or has just been tried; errors go to the log */
export function createCertificateRenewal({ now, signal, log }: Options): (profile: Profile) => void {
  const triedAtMs = new WeakMap<Profile, number>()
  return (profile) => {
    if (now() - (triedAtMs.get(profile) ?? -Infinity) < RETRY_MIN_MS) return
    triedAtMs.set(profile, now())
    renewUserCertificate(profile, signal).then(
      () => log.info({ profile: profile.name }, 'the user certificate rests on the new CA'),
      (error: unknown) => {
        if (!signal.aborted) log.warn({ err: error, profile: profile.name }, 'the user certificate was not had anew')
      },
    )
  }
}

/** @throws PosternError of the server, `wrong_identity` if it signed something else than it was asked for */
async function renewUserCertificate(profile: Profile, signal: AbortSignal): Promise<void> {
  const current = profile.usableCertificate
  if (!current) throw profile.loginNeeded()
  const { keyPem, csrPem } = await createKeyRequest(current.identity.user)
  const call = { method: 'POST' as const, path: '/v1/login/certificate', body: { csr: csrPem } }
  const answer = await profile.callSignedIn(call, CertificateResponse, signal)
  const { caPems } = profile.cluster
  const fresh = buildKeyedCertificate({ certificatePem: answer.certificate, keyPem, caPems }, 'user')
  const { cluster, user, loginId } = current.identity
  const isSameLogin =
    fresh.identity.cluster === cluster &&
    fresh.identity.user === user &&
    fresh.identity.loginId === loginId &&
    fresh.notAfterMs === current.notAfterMs
  if (!isSameLogin) throw new PosternError('wrong_identity', 'the server signed a certificate of another login')
  if (!(await profile.replaceCertificate(current, fresh))) return
  // Presented once: only by that the server knows that nothing of this login rests on the old CA any more.
  await profile.callSignedIn({ method: 'GET', path: '/v1/me' }, Me, signal)
}
