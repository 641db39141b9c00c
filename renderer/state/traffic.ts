// The last minute of traffic of each gateway, for the live line: one sample for each report of the core. Pure.
import type { GatewayDetail } from '../../shared/app-state.ts'

/** `at`: ms of this machine's clock; rates in bytes a second. */
export type TrafficSample = { at: number; rateIn: number; rateOut: number }

export const TRAFFIC_WINDOW_MS = 60_000
type Traffic = Readonly<Record<string, readonly TrafficSample[]>>

/** `traffic` with a sample for each `touched` gateway that lives; gateways that are gone lose theirs. */
export function recordTraffic(
  traffic: Traffic,
  gateways: Readonly<Record<string, GatewayDetail>>,
  touched: readonly string[],
  now: number,
): Traffic {
  const next: Record<string, readonly TrafficSample[]> = {}
  for (const [id, samples] of Object.entries(traffic)) if (gateways[id]) next[id] = samples
  for (const id of touched) {
    const gateway = gateways[id]
    if (!gateway) continue
    const kept = (next[id] ?? []).filter((sample) => sample.at > now - TRAFFIC_WINDOW_MS)
    next[id] = [...kept, { at: now, rateIn: gateway.rateIn, rateOut: gateway.rateOut }]
  }
  return next
}
