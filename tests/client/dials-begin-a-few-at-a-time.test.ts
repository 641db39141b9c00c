import { expect, it } from 'vitest'
import { dialTurn } from '../../client/cluster/dial-turns.ts'

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const never = new AbortController().signal

/** Turns of the event loop, more than enough for what may go on. */
async function someTurns(count = 50): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn()
}

/** Dials that end when told to; who has begun, in order. */
function begin(count: number, route: string) {
  const begun: number[] = []
  const ends: (() => void)[] = []
  const dials = Array.from({ length: count }, (_, at) =>
    dialTurn(route, never).then((end) => {
      begun.push(at)
      ends.push(end)
    }),
  )
  return { begun, ends, all: Promise.all(dials) }
}

it('G5: a route has 16 dials in progress, and each that ends lets the next one begin, first come, first served', async () => {
  const { begun, ends, all } = begin(100, 'orders')
  await someTurns()
  expect(begun).toHaveLength(16)
  for (let ended = 0; ended < 100; ended++) {
    ends[ended]?.()
    // Twice is once.
    ends[ended]?.()
    await nextTurn()
    await nextTurn()
    expect(begun.length).toBe(Math.min(100, 17 + ended))
  }
  await all
  expect(begun).toEqual(Array.from({ length: 100 }, (_, at) => at))
})

it('G5, G6: routes do not wait for each other, and the event loop gets its turns between the dials of many', async () => {
  const hanging = begin(40, 'a target that hangs')
  const many = Array.from({ length: 10 }, (_, at) => begin(10, `route ${at}`))
  let turns = 0
  while (many.some(({ begun }) => begun.length < 10) && turns < 1000) {
    await nextTurn()
    turns += 1
  }
  expect(hanging.begun).toHaveLength(16)
  expect(turns).toBeGreaterThanOrEqual(10)
  for (const { ends } of many) for (const end of ends) end()
  while (hanging.begun.length < 40) {
    for (const end of hanging.ends) end()
    await nextTurn()
  }
  for (const end of hanging.ends) end()
})

it('G8: who leaves while it waits for its turn takes nobody else’s', async () => {
  const { begun, ends, all } = begin(16, 'orders')
  await someTurns()
  expect(begun).toHaveLength(16)
  const leaving = new AbortController()
  const gone = dialTurn('orders', leaving.signal)
  const next = begin(1, 'orders')
  leaving.abort(new Error('hung up'))
  await expect(gone).rejects.toThrow('hung up')
  ends[0]?.()
  await next.all
  expect(next.begun).toEqual([0])
  await expect(dialTurn('orders', AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late')
  for (const end of [...ends, ...next.ends]) end()
  await all
  // All places are free again.
  const again = begin(16, 'orders')
  await someTurns()
  expect(again.begun).toHaveLength(16)
  for (const end of again.ends) end()
})

it('G5: a single dial begins at once, also after a burst', async () => {
  await someTurns()
  let hasBegun = false
  void dialTurn('alone', never).then((end) => {
    hasBegun = true
    end()
  })
  for (let tick = 0; tick < 5; tick++) await Promise.resolve()
  expect(hasBegun).toBe(true)
})
