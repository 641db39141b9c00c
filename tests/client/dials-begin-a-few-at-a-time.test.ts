import { expect, it } from 'vitest'
import { dialTurn } from '../../client/cluster/dial-turns.ts'

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

it('G5: hundreds of dials at once begin a few a turn, first come, first served, and windows get their turns in between', async () => {
  const begun: number[] = []
  const dials = Array.from({ length: 100 }, (_, at) => dialTurn().then(() => begun.push(at)))
  await Promise.resolve()
  const atOnce = begun.length
  expect(atOnce).toBeGreaterThan(0)
  expect(atOnce).toBeLessThanOrEqual(8)
  let turns = 0
  while (begun.length < 100 && turns < 100) {
    await nextTurn()
    turns += 1
  }
  await Promise.all(dials)
  expect(begun).toEqual(Array.from({ length: 100 }, (_, at) => at))
  // So many turns of the event loop were free for others.
  expect(turns).toBeGreaterThanOrEqual(5)
})

it('G5: a single dial begins at once, also after a burst', async () => {
  await nextTurn()
  await nextTurn()
  let hasBegun = false
  void dialTurn().then(() => (hasBegun = true))
  await Promise.resolve()
  expect(hasBegun).toBe(true)
})
