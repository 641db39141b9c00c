// Looks at a Node process of ours from outside: memory and open files by /proc, heap and handles by its inspector, which SIGUSR1 opens.
// Nothing in the product is there for it. Used by the soaks; Linux only. The process must have been started with --inspect-port=0 in
// NODE_OPTIONS, so that several can be looked at.
import { readdir, readFile } from 'node:fs/promises'
import { once } from 'node:events'
import { z } from 'zod'
import { WebSocket } from 'ws'
import { until } from './run.ts'

export type Sample = {
  rssMiB: number
  /** Open file descriptors. */
  files: number
  heapMiB: number
  /** What the event loop holds: sockets, timers, requests. */
  handles: number
  /** CPU time of all its threads since it started, in ms. */
  cpuMs: number
}

const ANSWER_WITHIN_MS = 60_000
const MIB = 1024 * 1024

const Answer = z.object({ id: z.number(), result: z.object({ result: z.object({ value: z.unknown() }).optional() }) })
const Inside = z.object({ heapUsed: z.number(), handles: z.number() })
const LOOK_INSIDE = `({ heapUsed: process.memoryUsage().heapUsed, handles: process.getActiveResourcesInfo().length })`

/** To be in the environment of the processes that are looked at. */
export const PROBE_OPTIONS = '--inspect-port=0'

/** User and system time. Source: proc_pid_stat(5), fields 14 and 15; a tick is 10 ms. The name before them may hold spaces. */
function cpuMsOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

export class ProcessProbe {
  readonly pid: number
  readonly #inspector: WebSocket
  #asked = 0

  private constructor(pid: number, inspector: WebSocket) {
    this.pid = pid
    this.#inspector = inspector
  }

  /** @param stderr what the process has printed there so far: the inspector says its address in it */
  static async attach(pid: number, stderr: () => string | Promise<string>): Promise<ProcessProbe> {
    process.kill(pid, 'SIGUSR1')
    let address = ''
    const find = async (): Promise<boolean> => {
      address = /Debugger listening on (ws:\/\/\S+)/.exec(await stderr())?.[1] ?? ''
      return address !== ''
    }
    await until(find, `process ${pid} opens its inspector`, ANSWER_WITHIN_MS)
    const inspector = new WebSocket(address)
    await once(inspector, 'open')
    return new ProcessProbe(pid, inspector)
  }

  /** @param isCollected everything that is garbage is collected before, which stops the process for a moment */
  async sample(isCollected = false): Promise<Sample> {
    if (isCollected) await this.#ask('HeapProfiler.collectGarbage')
    const params = { expression: LOOK_INSIDE, returnByValue: true }
    const { heapUsed, handles } = Inside.parse(await this.#ask('Runtime.evaluate', params))
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8')
    const rssKiB = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1])
    const files = (await readdir(`/proc/${this.pid}/fd`)).length
    const cpuMs = cpuMsOf(await readFile(`/proc/${this.pid}/stat`, 'utf8'))
    const rounded = (mib: number): number => Math.round(mib * 10) / 10
    return { rssMiB: rounded(rssKiB / 1024), files, heapMiB: rounded(heapUsed / MIB), handles, cpuMs }
  }

  close(): void {
    this.#inspector.terminate()
  }

  async #ask(method: string, params: object = {}): Promise<unknown> {
    const id = ++this.#asked
    const { promise, resolve } = Promise.withResolvers<unknown>()
    const signal = AbortSignal.timeout(ANSWER_WITHIN_MS)
    const onMessage = (data: Buffer): void => {
      const answer = Answer.safeParse(JSON.parse(data.toString()))
      if (answer.success && answer.data.id === id) resolve(answer.data.result.result?.value)
    }
    this.#inspector.on('message', onMessage)
    this.#inspector.send(JSON.stringify({ id, method, params }))
    const late = once(signal, 'abort').then(() => Promise.reject(new Error(`${method} was not answered`)))
    try {
      return await Promise.race([promise, late])
    } finally {
      this.#inspector.off('message', onMessage)
      late.catch(() => undefined)
    }
  }
}
