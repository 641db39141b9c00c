// Endpoints of the CAs: which there are, rotate, finish (C7). For administrators only; every change is audited.
import { FinishRotationRequest } from '../../shared/admin-api.ts'
import { fingerprintOf } from '../ca/authority.ts'
import type { KnownCa } from '../ca/cas.ts'
import type { AuditEntry } from '../seams.ts'
import { signedIn, trustNews, type Actor, type ApiRequest, type Endpoint } from './endpoint.ts'

export const caEndpoints: readonly Endpoint[] = [
  signedIn({
    method: 'GET',
    path: '/v1/admin/ca',
    level: 'admin',
    handle: answer,
  }),
  signedIn({
    method: 'POST',
    path: '/v1/admin/ca/rotate',
    level: 'admin',
    handle: async (request) => {
      await request.parts.caRotation.rotate(({ made, old }) => [
        ...made.map((ca) => changeOf(request, ca, 'created')),
        ...old.map((ca) => changeOf(request, ca, 'signs no more')),
      ])
      await request.parts.audit.flush()
      // The certificate of this very call was signed by what is the old CA now.
      return { ...(await answer(request)), renewCertificate: true }
    },
  }),
  signedIn({
    method: 'POST',
    path: '/v1/admin/ca/finish',
    level: 'admin',
    input: FinishRotationRequest,
    handle: async (request, { force }) => {
      const { parts, actor } = request
      const { endedLogins } = await parts.caRotation.finish(force, (outcome) => [
        ...outcome.dropped.map((ca) => changeOf(request, ca, force ? 'dropped by force' : 'dropped')),
        ...outcome.endedLogins.map(({ user, loginId }): AuditEntry => ({
          event: 'login.ended',
          user,
          login: loginId,
          detail: { reason: 'ca dropped', by: actor.user },
        })),
      ])
      for (const { loginId } of endedLogins) parts.control.loginEnded(loginId, 'ca')
      await Promise.all([
        ...endedLogins.map(({ loginId }) => parts.sessions.endLogin(loginId, 'revoked', actor.user)),
        parts.audit.flush(),
      ])
      return answer(request)
    },
  }),
]

async function answer(request: ApiRequest & { actor: Actor }) {
  return { ...(await request.parts.caRotation.status()), ...trustNews(request) }
}

const changeOf = ({ actor, peer }: ApiRequest & { actor: Actor }, ca: KnownCa, change: string): AuditEntry => ({
  event: 'admin.change',
  user: actor.user,
  login: actor.loginId,
  address: peer.address,
  detail: { kind: `${ca.kind} CA`, name: ca.id, fingerprint: fingerprintOf(ca.certificate), change },
})
