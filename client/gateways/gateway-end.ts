// Tells the server that a gateway was closed, so that its sessions end as *closed* (S1). Called by gateways.ts.
import type { Logger } from 'pino'
import { CloseRouteResponse } from '../../shared/resource-api.ts'
import { PosternError } from '../../shared/errors.ts'
import type { Gateway } from './gateway.ts'

/** How long the server may take to hear that a gateway was closed, in ms: the person does not wait for it longer. */
const CLOSE_ROUTE_DEADLINE_MS = 5000

export type EndReport = { notice: (text: string, profile: string, gateway: string) => void; log: Logger }

/** Never rejects: an error is reported, not swallowed (G19); the gateway is closed all the same. */
export async function tellServerOfTheEnd(gateway: Gateway, report: EndReport): Promise<void> {
  await Promise.all([...gateway.usedRouteIds].map((routeId) => tellOfRoute(gateway, routeId, report)))
}

async function tellOfRoute(gateway: Gateway, routeId: string, { notice, log }: EndReport): Promise<void> {
  const { profile, route } = gateway
  const call = { method: 'POST' as const, path: `/v1/routes/${routeId}/close` }
  try {
    await profile.callToEnd(call, CloseRouteResponse, AbortSignal.timeout(CLOSE_ROUTE_DEADLINE_MS))
  } catch (error) {
    const why = error instanceof PosternError ? error.message : 'no answer in time'
    log.warn({ err: error, gateway: gateway.id, resource: route.resource }, 'server was not told')
    const text = `the gateway for ${route.resource} is closed, but the server could not be told to end its session: ${why}`
    notice(text, profile.name, gateway.id)
  }
}
