// The thread of interface-probe.ts.
import { parentPort, workerData } from 'node:worker_threads'
import { setTimeout as delay } from 'node:timers/promises'
import { connectToCore } from '../../client/connect.ts'

const ANSWER_EVERY_MS = 10
/** Every so many answers a setting is changed. */
const PATCH_EVERY = 10
const PATCH_DEADLINE_MS = 60_000

if (!parentPort) throw new Error('this is a thread of interface-probe.ts')
const port = parentPort
const { home } = workerData as { home: string }
const core = await connectToCore({ home, kind: 'page', canAsk: false, appVersion: 'test', start: false })
let times = { answers: [] as number[], patches: [] as number[] }
let isClosed = false
let onTheme: ((theme: string) => void) | undefined

core.on('state.patch', ({ changes }) => {
  for (const { path, value } of changes) {
    if (path[0] === 'settings') onTheme?.((value as { theme: string }).theme)
  }
})
await core.call('state.subscribe', {})

async function measurePatch(theme: string): Promise<void> {
  const seen = new Promise<void>((resolve) => {
    onTheme = (now) => {
      if (now === theme) resolve()
    }
  })
  const startedAt = performance.now()
  await Promise.all([core.call('settings.update', { theme }), Promise.race([seen, delay(PATCH_DEADLINE_MS)])])
  times.patches.push(performance.now() - startedAt)
}

async function probe(): Promise<void> {
  for (let round = 1; !isClosed; round++) {
    const startedAt = performance.now()
    await core.call('gateway.list', {})
    times.answers.push(performance.now() - startedAt)
    if (round % PATCH_EVERY === 0) await measurePatch(round % (2 * PATCH_EVERY) === 0 ? 'dark' : 'light')
    await delay(ANSWER_EVERY_MS)
  }
}

const probing = probe()
port.on('message', (message: string) => {
  if (message === 'take') {
    port.postMessage({ kind: 'times', value: times })
    times = { answers: [], patches: [] }
    return
  }
  isClosed = true
  void probing
    .then(() => core.close())
    .finally(() => {
      port.postMessage({ kind: 'closed' })
    })
})
port.postMessage({ kind: 'ready' })
