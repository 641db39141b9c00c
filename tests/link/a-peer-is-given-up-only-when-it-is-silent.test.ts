// I3: a peer that does not answer is given up in time, and one whose answer waits to be read is not, however long this process slept.
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { startHeartbeat } from '../../link/heartbeat.ts'
import { tcpPair } from '../support/pumped-paths.ts'

const ANSWER_WITHIN_MS = 200

it('I3: no answer in time is silence, said once', async () => {
  let silences = 0
  const { promise: silent, resolve } = Promise.withResolvers<undefined>()
  const heartbeat = startHeartbeat({
    ...{ everyMs: 10, answerWithinMs: ANSWER_WITHIN_MS },
    ask: () => undefined,
    onSilent: () => {
      silences += 1
      resolve(undefined)
    },
  })
  const beganAt = performance.now()
  await silent
  expect(performance.now() - beganAt).toBeGreaterThan(ANSWER_WITHIN_MS * 0.9)
  await delay(2 * ANSWER_WITHIN_MS)
  expect(silences).toBe(1)
  heartbeat.stop()
})

it('I3: an answer that came while this process slept counts', async () => {
  const [near, far] = await tcpPair()
  far.pipe(far)
  let silences = 0
  const heartbeat = startHeartbeat({
    ...{ everyMs: 60_000, answerWithinMs: ANSWER_WITHIN_MS },
    ask: () => near.write('?'),
    onSilent: () => (silences += 1),
  })
  near.on('data', () => heartbeat.answered())
  heartbeat.askNow()
  // Nothing of this process runs meanwhile, neither timers nor sockets.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3 * ANSWER_WITHIN_MS)
  await once(near, 'data')
  await delay(2 * ANSWER_WITHIN_MS)
  expect(silences).toBe(0)
  heartbeat.stop()
  near.destroy()
})
