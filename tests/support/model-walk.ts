// Walks a real thing and a model of it through the same acts, one named after the other or as chance leads, and compares what they
// show after each (model-based testing; fast-check's commands). Used by the walks of profiles and gateways (D3).
import fc from 'fast-check'
import { expect } from 'vitest'
import { waitUntil } from './client-core.ts'

/** What can happen: when it can, what it does to the model, and to the real thing. */
export type Act<Model, Real> = {
  when: (model: Model) => boolean
  then: (model: Model) => void
  run: (real: Real) => Promise<void> | void
}

type Shows = { state(): Promise<string>; close(): Promise<void> }

export type Walk<Name extends string, Model extends object, Real extends Shows> = {
  /** One act, whether the model says that it can happen or not. */
  step(name: Name, model: Model, real: Real): Promise<void>
  /** One act after the other, each of which can happen then. */
  tour(names: readonly Name[], model: Model, real: Real): Promise<void>
  /** Random walks, each with a model and a real thing of its own; fails with the shortest walk that goes wrong. */
  wander(options: { runs: number; timeLimitMs: number }): Promise<void>
}

export function walkOf<Name extends string, Model extends object, Real extends Shows>(parts: {
  acts: Readonly<Record<Name, Act<Model, Real>>>
  /** What the real thing has to show, by the model. */
  shown: (model: Model) => string
  fresh: () => Model
  start: () => Promise<Real>
}): Walk<Name, Model, Real> {
  const { acts, shown, fresh, start } = parts

  const step = async (name: Name, model: Model, real: Real): Promise<void> => {
    await acts[name].run(real)
    acts[name].then(model)
    const wanted = shown(model)
    let now: string | undefined
    await waitUntil(async () => (now = await real.state()) === wanted, `"${wanted}" after "${name}"`).catch(
      (error: unknown) => {
        throw new Error(`${String(error)}; it shows "${String(now)}"`)
      },
    )
  }

  const commandOf = (name: Name): fc.AsyncCommand<Model, Real> => ({
    check: (model) => acts[name].when(model),
    run: (model, real) => step(name, model, real),
    toString: () => name,
  })

  return {
    step,
    async tour(names, model, real) {
      for (const name of names) {
        expect(acts[name].when(model), `${name} can happen now`).toBe(true)
        await step(name, model, real)
      }
    },
    async wander({ runs, timeLimitMs }) {
      const commands = (Object.keys(acts) as Name[]).map((name) => fc.constant(commandOf(name)))
      await fc.assert(
        fc.asyncProperty(fc.commands(commands, { maxCommands: 40, size: 'max' }), async (walk) => {
          const real = await start()
          try {
            await fc.asyncModelRun(() => ({ model: fresh(), real }), walk)
          } finally {
            await real.close()
          }
        }),
        { numRuns: runs, endOnFailure: true, interruptAfterTimeLimit: timeLimitMs },
      )
    },
  }
}
