// Keeps the store in step with the core: subscribes, applies patches in order, subscribes again after a gap, a lost
// connection or a core that was started again. Started once by main.tsx.
import { AppState } from '../../shared/app-state.ts'
import type { EventPayload } from '../../shared/rpc.ts'
import type { RpcClient } from '../transport/rpc-client.ts'
import { texts } from '../texts.ts'
import { patchState, replaceState, useMirror } from './store.ts'

/** Pauses between failing subscriptions, in ms; the last one repeats. */
const PAUSES_MS = [200, 500, 1000, 2000, 5000]
type Patch = EventPayload<'state.patch'>

/** Starts mirroring; the function that is returned ends it. `now`: ms since the epoch. */
export function startMirror(client: RpcClient, now: () => number): () => void {
  const end = new AbortController()
  /** The number of the last patch that was applied; null while a snapshot is awaited. */
  let seq: number | null = null
  let early: Patch[] = []
  let attempts = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  /** Counts subscriptions, so that the answer of an older one is not taken for the newest. */
  let generation = 0

  function subscribe(): void {
    clearTimeout(timer)
    if (!client.isOpen()) return
    generation += 1
    const mine = generation
    seq = null
    early = []
    client.call('state.subscribe', {}, { signal: end.signal }).then(
      (answer) => {
        if (mine !== generation) return
        const parsed = AppState.safeParse(answer.state)
        if (!parsed.success) {
          useMirror.setState({ core: { state: 'failed', text: texts.connection.notUnderstood } })
          retry()
          return
        }
        attempts = 0
        seq = answer.seq
        replaceState(parsed.data, now())
        for (const patch of early.splice(0)) apply(patch)
      },
      () => {
        if (mine === generation && !end.signal.aborted) retry()
      },
    )
  }

  function retry(): void {
    if (useMirror.getState().link === 'live') useMirror.setState({ link: 'away' })
    const pause = PAUSES_MS[Math.min(attempts, PAUSES_MS.length - 1)]
    attempts += 1
    clearTimeout(timer)
    timer = setTimeout(subscribe, pause)
  }

  function apply(patch: Patch): void {
    if (seq === null) {
      early.push(patch)
      return
    }
    if (patch.seq <= seq) return
    if (patch.seq > seq + 1) {
      subscribe()
      return
    }
    seq = patch.seq
    patchState(patch.changes, now())
  }

  function lost(): void {
    generation += 1
    seq = null
    useMirror.setState((mirror) => ({ link: mirror.app ? 'away' : 'connecting' }))
  }

  const stops = [
    client.on('state.patch', apply),
    client.on('shell.coreState', (core) => {
      useMirror.setState({ core })
      if (core.state === 'connected') subscribe()
      else lost()
    }),
    client.onState((isOpen) => {
      if (isOpen) subscribe()
      else lost()
    }),
  ]
  subscribe()
  return () => {
    end.abort()
    clearTimeout(timer)
    for (const stop of stops) stop()
  }
}
