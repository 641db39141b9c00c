// docs/states.md, drawn from the data of the two state machines (D3), as Mermaid.
import type { Machine } from '../../client/state-machine.ts'
import { edgesOf, type Edge } from './machines.ts'

type AnyMachine = Machine<string, never, string>

const idOf = (state: string): string => state.replaceAll(/\W/g, '_')

/** Where (nearly) every state leads in the same way, one sentence says more than as many arrows. */
function commonEdges(machine: AnyMachine, edges: Edge[]): { to: string; event: string; except: string[] }[] {
  const states = Object.keys(machine.transitions)
  const common: { to: string; event: string; except: string[] }[] = []
  for (const to of states) {
    for (const event of new Set(edges.filter((edge) => edge.to === to).map((edge) => edge.event))) {
      const from = edges.filter((edge) => edge.to === to && edge.event === event).map((edge) => edge.from)
      const except = states.filter((state) => state !== to && !from.includes(state))
      if (from.length >= 5 && except.length <= 1) common.push({ to, event, except })
    }
  }
  return common
}

function drawn(machine: AnyMachine, first: readonly string[]): string {
  const edges = edgesOf(machine)
  const common = commonEdges(machine, edges)
  const isCommon = ({ to, event }: Edge): boolean => common.some((one) => one.to === to && one.event === event)
  const own = edges.filter((edge) => !isCommon(edge))
  // One arrow for two ways to get from here to there.
  const arrows = new Map<string, string[]>()
  for (const { from, to, event } of own) {
    const arrow = `  ${idOf(from)} --> ${idOf(to)}`
    arrows.set(arrow, [...(arrows.get(arrow) ?? []), event])
  }
  const sentences = common.map(
    ({ to, event, except }) =>
      `From every other state${except.length === 0 ? '' : ` (but *${except.join('*, *')}*)`} *${event}* leads to *${to}*.`,
  )
  return [
    '```mermaid',
    'stateDiagram-v2',
    ...Object.keys(machine.transitions).map((state) => `  state "${state}" as ${idOf(state)}`),
    ...first.map((state) => `  [*] --> ${idOf(state)}`),
    ...[...arrows].map(([arrow, events]) => `${arrow} : ${events.join(' / ')}`),
    '```',
    '',
    ...sentences.flatMap((sentence) => [sentence, '']),
  ].join('\n')
}

/** The whole page. */
export function drawnMachines(profile: unknown, gateway: unknown): string {
  return `# States

What a window, the tray, a notification or the terminal says of a profile or a gateway is one of these states, and nothing else.
A state follows from facts (is there a login, how long does it last by the server's clock, does a connection wait, …), looked at
anew each time; the rules are in \`client/profiles/profile-state.ts\` and \`client/gateways/gateway-state.ts\`, and so is the table
of steps that is drawn here. A step that is not drawn is an error in \`core.log\`, with both states and what happened. A login that
is over never looks connected, whatever else is true.

This page is made from that data; a test fails where it differs, and \`vitest -u\` makes it anew.

## A profile: the login to one cluster

${drawn(profile as AnyMachine, ['signed out', 'ready', 'expiring', 'expired'])}
*The clock is set right*: the end of a login is reckoned by the server's clock. Before a person is asked to log in because this
machine's clock says that the time is up, the server is asked for its time.

## A gateway

${drawn(gateway as AnyMachine, ['starting'])}
*Listening* means that connections go through: the login is good, so a certificate is there or comes without anybody noticing. The listener itself stays open in every state from *listening* to *refused*.
`
}
