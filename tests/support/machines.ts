// All that the state machines of the core (D3) can do, by walking every combination of facts. Used by tests/client.
import { eventsBetween, stateOf, type Machine } from '../../client/state-machine.ts'
import type { GatewayFacts } from '../../client/gateways/gateway-state.ts'
import type { ProfileFacts } from '../../client/profiles/profile-state.ts'

const BOOLEANS = [false, true]

type Alternatives<F> = { [K in keyof F]: readonly F[K][] }

export const PROFILE_FACTS: Alternatives<ProfileFacts> = {
  isLoggingIn: BOOLEANS,
  isRefused: BOOLEANS,
  isOffline: BOOLEANS,
  login: ['none', 'long', 'short', 'over', 'ended'],
}
export const GATEWAY_FACTS: Alternatives<GatewayFacts> = {
  listener: ['starting', 'listening', 'port conflict', 'closed'],
  hasLogin: BOOLEANS,
  isHolding: BOOLEANS,
  isCoolingDown: BOOLEANS,
  isRefused: BOOLEANS,
}

/** Every combination. */
export function allFacts<F extends object>(alternatives: Alternatives<F>): F[] {
  let all: Partial<F>[] = [{}]
  for (const key of Object.keys(alternatives) as (keyof F)[]) {
    all = all.flatMap((facts) => alternatives[key].map((value) => ({ ...facts, [key]: value })))
  }
  return all as F[]
}

/**
 * Walks every change of one fact from every combination of facts that can be.
 * @param follow what the change makes of the facts; undefined: it cannot be
 * @returns steps that the table of the machine does not know, and those of the table that were never taken
 */
export function walk<S extends string, F extends object, E extends string>(
  machine: Machine<S, F, E>,
  alternatives: Alternatives<F>,
  follow: (before: F, after: F) => F | undefined,
): { unknown: string[]; neverTaken: string[] } {
  const never = new Set(edgesOf(machine).map(nameOf))
  const unknown = new Set<string>()
  for (const before of allFacts(alternatives)) {
    if (follow(before, before) === undefined) continue
    for (const key of Object.keys(alternatives) as (keyof F)[]) {
      for (const value of alternatives[key]) {
        const after = follow(before, { ...before, [key]: value })
        if (!after) continue
        const [from, to] = [stateOf(machine, before), stateOf(machine, after)]
        if (from === to) continue
        const events = eventsBetween(machine, before, after)
        const known = events.filter((event) => machine.transitions[from][to]?.includes(event))
        if (known.length === 0) unknown.add(nameOf({ from, to, event: events.join(', ') }))
        for (const event of known) never.delete(nameOf({ from, to, event }))
      }
    }
  }
  return { unknown: [...unknown], neverTaken: [...never] }
}

export type Edge = { from: string; to: string; event: string }

export const nameOf = ({ from, to, event }: Edge): string => `${from} → ${to}: ${event}`

/** What the table of a machine has. */
export function edgesOf<S extends string, F, E extends string>({ transitions }: Machine<S, F, E>): Edge[] {
  const rows = Object.entries<Readonly<Partial<Record<S, readonly E[]>>>>(transitions)
  return rows.flatMap(([from, row]) =>
    Object.entries<readonly E[] | undefined>(row).flatMap(([to, events]) =>
      (events ?? []).map((event) => ({ from, to, event })),
    ),
  )
}

/** What can become of a profile's facts when one of them changes; undefined: it cannot be. */
export function followProfile(before: ProfileFacts, after: ProfileFacts): ProfileFacts | undefined {
  // A refusal is of the login that was presented, and goes with it.
  if (before.login !== 'none' && after.login === 'none') return { ...after, isRefused: false }
  if (after.login === 'none' && after.isRefused) return undefined
  // Only an answer of the server takes a refusal back.
  if (before.isRefused && !after.isRefused && after.isOffline) return undefined
  // Another login comes by logging in only; none that is over runs short.
  const isNew = before.login !== after.login && (before.login === 'none' || before.login === 'ended')
  if (isNew && !after.isLoggingIn) return undefined
  if (before.login === 'none' && after.login === 'ended') return undefined
  return after
}

/** The same for a gateway. */
export function followGateway(before: GatewayFacts, after: GatewayFacts): GatewayFacts | undefined {
  if (before.listener !== after.listener) {
    if (before.listener === 'closed' || after.listener === 'starting') return undefined
    if (before.listener === 'listening' && after.listener !== 'closed') return undefined
    // Nobody knows a gateway that has not tried to listen yet.
    if (before.listener === 'starting' && after.listener === 'closed') return undefined
  }
  // Connections are there only where something listened, and in a cool-down they are refused, not held.
  if (after.isHolding && (after.listener === 'starting' || after.listener === 'port conflict')) return undefined
  if (!before.isHolding && after.isHolding && after.isCoolingDown) return undefined
  // A connection waits for a login only where there is none.
  if (!before.isHolding && after.isHolding && after.hasLogin) return undefined
  return after
}
