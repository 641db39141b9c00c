// The reaper: people whose grant ran out are told to look again, with or without a session; a round that fails keeps no later one
// from running, and none runs after its stop.
import pino from 'pino'
import { expect, it, vi } from 'vitest'
import { startReaper } from '../../server/sessions/reaper.ts'
import { freshStore } from '../support/store.ts'

it('C9, I2, S8: whose grant ran out is told once, at the next round; a round that fails is not the last', async () => {
  const store = await freshStore()
  let nowMs = Date.parse('2026-01-01T00:00:00Z')
  const at = (ms: number) => new Date(nowMs + ms).toISOString()
  const created_at = at(0)
  for (const name of ['alice', 'bob', 'carol'])
    await store.db
      .insertInto('users')
      .values({ ...{ name, email: null, level: 'none', disabled: 0, created_at }, totp_last_step: 0 })
      .execute()
  await store.db.insertInto('roles').values({ name: 'dev', spec: '{}' }).execute()
  const until = { alice: at(1000), bob: at(5000), carol: null }
  for (const [user_name, end] of Object.entries(until))
    await store.db.insertInto('grants').values({ user_name, role: 'dev', until: end, created_at }).execute()

  const told: string[][] = []
  let rounds = 0
  const reaper = startReaper({
    sessions: {
      reap: () => {
        rounds++
        return rounds === 1 ? Promise.reject(new Error('the store is gone')) : Promise.resolve()
      },
      keepCounts: () => Promise.resolve(),
    },
    control: { accessChanged: (users) => void told.push(users === 'all' ? ['all'] : [...users]) },
    db: store.db,
    now: () => new Date(nowMs),
    intervalMs: 10,
    log: pino({ level: 'silent' }),
  })
  const untilRounds = (count: number) => vi.waitFor(() => expect(rounds).toBeGreaterThan(count), { timeout: 20_000 })
  await untilRounds(2)
  expect(told).toEqual([])
  nowMs += 1000
  await untilRounds(rounds + 2)
  expect(told).toEqual([['alice']])
  nowMs += 10_000
  await untilRounds(rounds + 2)
  expect(told).toEqual([['alice'], ['bob']])
  await reaper.stop()
  const atStop = rounds
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(rounds).toBe(atStop)
  await store.close()
})
