// What both state machines (D3) are written in: ordered rules turn facts into a state, events name what has changed between two
// looks at the facts, and a table says which event may lead from which state to which. profile-state.ts and gateway-state.ts are
// the data, profile.ts and gateway.ts run it, docs/states.md is drawn from it.
import type { Logger } from 'pino'

export type Machine<S extends string, F, E extends string> = {
  readonly name: string
  /** The first rule that holds gives the state; the last one always holds. */
  readonly rules: readonly { readonly state: S; readonly when: (facts: F) => boolean }[]
  readonly events: Readonly<Record<E, (before: F, after: F) => boolean>>
  /** From → to → by which events. */
  readonly transitions: Readonly<Record<S, Readonly<Partial<Record<S, readonly E[]>>>>>
}

export type Step<S extends string = string, E extends string = string> = {
  machine: string
  from: S
  to: S
  /** What has changed since the last look; several at once, if nobody looked in between. */
  events: readonly E[]
  /** Whether the table has this step by one of these events. */
  isKnown: boolean
}

/** Told each change of a state, with its cause. */
export type NoteStep = (step: Step) => void

/** The state that these facts make. */
export function stateOf<S extends string, F, E extends string>(machine: Machine<S, F, E>, facts: F): S {
  const rule = machine.rules.find(({ when }) => when(facts))
  if (!rule) throw new Error(`no rule of the ${machine.name} holds`)
  return rule.state
}

/** What happened between two looks. */
export function eventsBetween<S extends string, F, E extends string>(
  { events }: Machine<S, F, E>,
  before: F,
  after: F,
): E[] {
  return (Object.keys(events) as E[]).filter((event) => events[event](before, after))
}

/** One profile or gateway on its way through its machine. */
export class MachineRun<S extends string, F, E extends string> {
  readonly #machine: Machine<S, F, E>
  readonly #noteStep: NoteStep
  #facts: F
  #state: S

  constructor(machine: Machine<S, F, E>, facts: F, noteStep: NoteStep) {
    this.#machine = machine
    this.#noteStep = noteStep
    this.#facts = facts
    this.#state = stateOf(machine, facts)
  }

  /** The state of now. A step since the last look is noted, and checked against the table. */
  look(facts: F): S {
    const [from, before] = [this.#state, this.#facts]
    const to = stateOf(this.#machine, facts)
    this.#facts = facts
    this.#state = to
    if (from === to) return to
    const events = eventsBetween(this.#machine, before, facts)
    const known = this.#machine.transitions[from][to] ?? []
    const isKnown = events.some((event) => known.includes(event))
    this.#noteStep({ machine: this.#machine.name, from, to, events, isKnown })
    return to
  }
}

/** What an unknown step is called in the log; tests look for it. */
export const UNKNOWN_STEP = 'state machine took a step that its table does not know'

/** Steps go to the log; one that the table does not know is an error there, with both states and the cause. */
export function logSteps(log: Logger): NoteStep {
  return ({ isKnown, ...step }) => {
    if (isKnown) log.info(step, 'state changed')
    else log.error(step, UNKNOWN_STEP)
  }
}
