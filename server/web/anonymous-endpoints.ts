// Endpoints before the login: what cluster is this, is it well, log in (with a password or at the identity
// provider), make the first administrator.
import { LoginRequest, SetupRequest, SsoFinishRequest, SsoStartRequest } from '../../shared/login-api.ts'
import { PROTOCOL_VERSION } from '../../shared/names.ts'
import { noProvider } from '../accounts/logins.ts'
import { anonymous, type Endpoint } from './endpoint.ts'

export const anonymousEndpoints: readonly Endpoint[] = [
  anonymous({
    method: 'GET',
    path: '/v1/health',
    handle: async ({ parts }) => {
      // A store that cannot be asked makes this 503, like every other endpoint (W2).
      await parts.db.selectFrom('settings').select('key').limit(1).execute()
      return { status: 'ok' }
    },
  }),
  anonymous({
    method: 'GET',
    path: '/v1/cluster',
    handle: ({ parts }) =>
      Promise.resolve({
        cluster: parts.cluster,
        version: parts.version,
        protocolVersion: PROTOCOL_VERSION,
        login: { password: true, sso: parts.sso ? { name: parts.sso.name } : null },
        cas: [...parts.authority.serverCaPems],
      }),
  }),
  anonymous({
    method: 'POST',
    path: '/v1/login',
    input: LoginRequest,
    handle: ({ parts, peer }, request) => parts.logins.logIn(request, peer),
  }),
  anonymous({
    method: 'POST',
    path: '/v1/sso/start',
    input: SsoStartRequest,
    handle: ({ parts, peer }, request) => (parts.sso ?? refuseSso()).begin(request, peer),
  }),
  anonymous({
    method: 'POST',
    path: '/v1/sso/finish',
    input: SsoFinishRequest,
    handle: ({ parts, peer }, request) => parts.logins.logInWithSso(request, peer),
  }),
  anonymous({
    method: 'POST',
    path: '/v1/setup',
    input: SetupRequest,
    handle: ({ parts, peer }, request) => parts.logins.setUp(request, peer),
  }),
]

function refuseSso(): never {
  throw noProvider()
}
