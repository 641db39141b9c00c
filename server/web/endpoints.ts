// The table of all endpoints: who may do what over the JSON API (shared/*-api.ts have the bodies). Walked by web-app.ts and
// by the test of endpoint × level (W1). The control stream is no endpoint: whoever is signed in may have it (server/control).
import { accountEndpoints } from './account-endpoints.ts'
import { adminEndpoints } from './admin-endpoints.ts'
import { anonymousEndpoints } from './anonymous-endpoints.ts'
import { caEndpoints } from './ca-endpoints.ts'
import type { Endpoint } from './endpoint.ts'
import { routeEndpoints } from './route-endpoints.ts'
import { sessionEndpoints } from './session-endpoints.ts'

export const ENDPOINTS: readonly Endpoint[] = [
  ...anonymousEndpoints,
  ...accountEndpoints,
  ...routeEndpoints,
  ...sessionEndpoints,
  ...adminEndpoints,
  ...caEndpoints,
]
