// Between its turns bulk gives the processor to others, by a call that Node does not have; nothing else depends on it.
import { expect, it, type TestContext } from 'vitest'
import { loadCLibrary } from '../../link/c-library.ts'
import { createGiveWay } from '../../link/give-way.ts'

const isLinux = process.platform === 'linux'
const onlyOnLinux = (context: TestContext): void => context.skip(!isLinux, 'only Linux gives way; run it there')

it('the library is asked for once, at the first turn, and called from then on', async (context) => {
  onlyOnLinux(context)
  const prototypes: string[] = []
  let loads = 0
  let calls = 0
  const giveWay = createGiveWay(() => {
    loads += 1
    return Promise.resolve({ func: (prototype) => (prototypes.push(prototype), () => (calls += 1)) })
  })
  expect(loads).toBe(0)
  giveWay()
  giveWay()
  await new Promise(setImmediate)
  expect(calls, 'nothing to call before it is there').toBe(0)
  giveWay()
  giveWay()
  expect({ loads, calls, prototypes }).toEqual({ loads: 1, calls: 2, prototypes: ['int sched_yield(void)'] })
})

it('where there is no such library, or not this function, turns end as before', async () => {
  let loads = 0
  const loadings = [
    () => Promise.reject(new Error('not installed')),
    () =>
      Promise.resolve({
        func: () => {
          throw new Error('no such function')
        },
      }),
  ]
  for (const load of loadings) {
    const giveWay = createGiveWay(() => {
      loads += 1
      return load()
    })
    for (let turn = 0; turn < 3; turn++) {
      giveWay()
      await new Promise(setImmediate)
    }
  }
  expect(loads).toBe(isLinux ? 2 : 0)
})

it('the C library of this process gives way, and comes back', async (context) => {
  onlyOnLinux(context)
  const { func } = await loadCLibrary()
  expect((func('int sched_yield(void)') as () => number)()).toBe(0)
})
