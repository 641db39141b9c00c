// The steps that the state machines of a core really took, read from its log. Used by the walks of tests/client.
import { z } from 'zod'
import type { Machine } from '../../client/state-machine.ts'
import { edgesOf, nameOf } from './machines.ts'

const Line = z.object({
  msg: z.literal('state changed'),
  machine: z.string(),
  from: z.string(),
  to: z.string(),
  events: z.array(z.string()),
})

/** Which steps of a machine's table the log has, and which it has not; a step is known by its two states. */
export function coverageOf<S extends string, F, E extends string>(
  machine: Machine<S, F, E>,
  log: readonly string[],
): { taken: string[]; missing: string[] } {
  const seen = new Set<string>()
  for (const text of log) {
    const line = Line.safeParse(JSON.parse(text))
    if (!line.success || line.data.machine !== machine.name) continue
    for (const event of line.data.events) seen.add(nameOf({ ...line.data, event }))
  }
  const all = edgesOf(machine).map(nameOf)
  return { taken: all.filter((edge) => seen.has(edge)), missing: all.filter((edge) => !seen.has(edge)) }
}
