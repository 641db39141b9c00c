// Endpoints before the login: what cluster is this, is it well, log in, make the first administrator.
import { LoginRequest, SetupRequest } from '../../shared/api.ts'
import { PROTOCOL_VERSION } from '../../shared/names.ts'
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
      Promise.resolve({ cluster: parts.cluster, version: parts.version, protocolVersion: PROTOCOL_VERSION }),
  }),
  anonymous({
    method: 'POST',
    path: '/v1/login',
    input: LoginRequest,
    handle: ({ parts, peer }, request) => parts.logins.logIn(request, peer),
  }),
  anonymous({
    method: 'POST',
    path: '/v1/setup',
    input: SetupRequest,
    handle: ({ parts, peer }, request) => parts.logins.setUp(request, peer),
  }),
]
