// The core's state as the shell itself needs it (tray, quitting, start at login), and the one subscription that it shares with its
// page: both are one host to the core, so whoever subscribes anew, the mirror starts anew. Called by main.ts.
import type { CallOptions, CoreConnection } from '../client/connect.ts'
import { applyChanges, AppState } from '../shared/app-state.ts'
import type { EventPayload, Method, Params, Result } from '../shared/rpc.ts'
import type { CoreCaller } from './page-gate.ts'

export type StateMirror = CoreCaller & {
  /** The latest state; undefined until the core has sent one. */
  state(): AppState | undefined
  /** Asks for the state; later patches follow by themselves. */
  start(): Promise<void>
}

/** Mirrors the state of one connection; `onChange` is called after every change. */
export function mirrorState(connection: CoreConnection, onChange: (state: AppState) => void): StateMirror {
  let state: AppState | undefined
  let seq = -1
  let early: EventPayload<'state.patch'>[] = []

  const apply = (patch: EventPayload<'state.patch'>): boolean => {
    if (state === undefined || patch.seq <= seq) return true
    if (patch.seq !== seq + 1) return false
    state = applyChanges(state, patch.changes)
    seq = patch.seq
    return true
  }

  const takeSnapshot = (answer: Result<'state.subscribe'>): void => {
    const snapshot = AppState.safeParse(answer.state)
    if (!snapshot.success) return
    state = snapshot.data
    seq = answer.seq
    // Patches may overtake the answer that they follow.
    const waiting = early.sort((a, b) => a.seq - b.seq)
    early = []
    for (const patch of waiting) apply(patch)
    onChange(state)
  }

  const call = async <M extends Method>(method: M, params: Params<M>, options?: CallOptions): Promise<Result<M>> => {
    const result = await connection.call(method, params, options)
    if (method === 'state.subscribe') takeSnapshot(result as Result<'state.subscribe'>)
    return result
  }

  connection.on('state.patch', (patch) => {
    if (state === undefined) {
      early.push(patch)
      return
    }
    if (apply(patch)) onChange(state)
    else {
      state = undefined
      early = []
      void start().catch(() => undefined)
    }
  })
  const start = async (): Promise<void> => {
    await call('state.subscribe', {})
  }

  return { state: () => state, start, call }
}
