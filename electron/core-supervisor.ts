// Keeps this app attached to the one core of its home: to the core of a terminal if one runs, else to a child of our own, which
// is started again with back-off when it dies. Called by main.ts; knows no Electron: how a child is started is passed in.
// Promises that `close()` ends the child it started, and only that.
import { setTimeout as delay } from 'node:timers/promises'
import type { CoreConnection } from '../client/connect.ts'
import { PosternError } from '../shared/errors.ts'

/** A core process of our own. */
export type CoreChild = {
  /** Resolves when it has ended, never rejects; `problem` is what it said last if it could not go on. */
  readonly exited: Promise<{ code: number; problem: string | null }>
  /** Asks it to end gracefully. */
  kill(): void
}

export type CoreState = { state: 'connected' | 'restarting' | 'failed'; text: string | null }

export type CoreSupervisorOptions = {
  /** Attaches to a running core; error `core_unreachable` if none runs. */
  attach: (signal: AbortSignal) => Promise<CoreConnection>
  launch: () => CoreChild
  /** Called with each new connection before anybody is told that it is there. */
  onConnected: (connection: CoreConnection) => void
  onState: (state: CoreState) => void
  /** Monotonic, in ms. */
  now: () => number
}

export type CoreSupervisor = {
  /** The connection at this moment; undefined while there is none. */
  current(): CoreConnection | undefined
  state(): CoreState
  /** Leaves the core; ends it if it is ours. Idempotent; resolves when it is really over. */
  close(): Promise<void>
}

/** A core of ours listens within this time of its start, in ms. */
const REACH_DEADLINE_MS = 20_000
/** Between two looks whether the starting core listens, in ms. */
const LOOK_PAUSE_MS = 50
/** First pause before a second try, doubled up to the longest, in ms. */
const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 10_000
/** So many failures in a row are told as a failure; the tries go on. */
const FAILURES_TOLD = 4
/** A core that lived so long starts the count anew, in ms. */
const STEADY_MS = 30_000
/** A core that lives answers at once, in ms. */
const ASK_DEADLINE_MS = 2000
/** A core takes at most 8 s to end gracefully (client/main.ts). */
const END_DEADLINE_MS = 9000

export function superviseCore(options: CoreSupervisorOptions): CoreSupervisor {
  const stopping = new AbortController()
  const { signal } = stopping
  let connection: CoreConnection | undefined
  let child: CoreChild | undefined
  let state: CoreState = { state: 'restarting', text: null }

  const report = (next: CoreState): void => {
    state = next
    options.onState(next)
  }

  const launch = (): CoreChild => {
    const started = options.launch()
    child = started
    void started.exited.then(() => {
      if (child === started) child = undefined
    })
    return started
  }

  const reach = async (): Promise<CoreConnection> => {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(REACH_DEADLINE_MS)])
    for (;;) {
      try {
        return await options.attach(deadline)
      } catch (error) {
        if (deadline.aborted || !isNotThere(error)) throw error
      }
      const starting = child ?? launch()
      const pause = delay(LOOK_PAUSE_MS, undefined, { signal: deadline })
      const ended = await Promise.race([starting.exited, pause])
      // Code 0: another core holds the home and is just starting; the next look finds it.
      if (ended && ended.code !== 0) {
        throw new PosternError('core_unreachable', ended.problem ?? `the Postern core ended with code ${ended.code}`)
      }
      await pause
    }
  }

  const run = async (): Promise<void> => {
    let failures = 0
    while (!signal.aborted) {
      const since = options.now()
      let problem: string | null = null
      try {
        const reached = await reach()
        connection = reached
        options.onConnected(reached)
        report({ state: 'connected', text: null })
        await reached.closed
      } catch (error) {
        problem = error instanceof Error ? error.message : String(error)
      }
      connection = undefined
      if (isAborted(signal)) return
      if (options.now() - since > STEADY_MS) failures = 0
      failures++
      const failed = failures >= FAILURES_TOLD
      report({ state: failed ? 'failed' : 'restarting', text: problem })
      // The first time at once: somebody's query is waiting.
      const pause = failures === 1 ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** (failures - 2), LONGEST_PAUSE_MS)
      await delay(pause, undefined, { signal }).catch(() => undefined)
    }
  }
  const running = run()

  let closing: Promise<void> | undefined
  return {
    current: () => connection,
    state: () => state,
    close: () =>
      (closing ??= (async () => {
        stopping.abort(new PosternError('core_unreachable', 'Postern is quitting'))
        // Asked, since not every system has signals; the signal is for a core that does not listen yet, or hangs.
        const asked = child && connection?.call('core.stop', {}, { deadlineMs: ASK_DEADLINE_MS })
        const isEnding = await asked?.then(
          () => true,
          () => false,
        )
        await connection?.close()
        await running
        const ours = child
        if (!ours) return
        if (!isEnding) ours.kill()
        const deadline = delay(END_DEADLINE_MS, 'late' as const, { ref: false })
        if ((await Promise.race([ours.exited, deadline])) === 'late') ours.kill()
      })()),
  }
}

const isNotThere = (error: unknown): boolean => error instanceof PosternError && error.code === 'core_unreachable'

/** A function, since the compiler believes that `aborted` cannot change while we wait. */
const isAborted = (signal: AbortSignal): boolean => signal.aborted
