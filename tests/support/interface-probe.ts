// How quickly the core answers a window while something else goes on: a page of its own, in a thread of its own (the test's
// thread is busy with its clients), that asks over and over and watches how soon its patches come.
import { Worker } from 'node:worker_threads'

/** Times in ms, in order. */
export type ProbeTimes = {
  /** `gateway.list`, from the question to the answer. */
  answers: number[]
  /** From a changed setting to the patch of the state that tells it. */
  patches: number[]
}

export class InterfaceProbe {
  readonly #worker: Worker

  private constructor(worker: Worker) {
    this.#worker = worker
  }

  static async attach(home: string): Promise<InterfaceProbe> {
    const worker = new Worker(new URL('./interface-probe-worker.ts', import.meta.url), { workerData: { home } })
    const probe = new InterfaceProbe(worker)
    await probe.#next('ready')
    return probe
  }

  /** What came since the last time. */
  async take(): Promise<ProbeTimes> {
    this.#worker.postMessage('take')
    return (await this.#next('times')) as ProbeTimes
  }

  async close(): Promise<void> {
    this.#worker.postMessage('close')
    await this.#next('closed')
    await this.#worker.terminate()
  }

  #next(kind: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        this.#worker.off('message', onMessage).off('error', reject)
        act()
      }
      const onMessage = (message: { kind: string; value?: unknown }) => {
        if (message.kind === kind) settle(() => resolve(message.value))
      }
      this.#worker.on('message', onMessage).once('error', reject)
    })
  }
}

/** The value that so many of the values do not exceed. @param share 0.99 for p99 */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN
}
