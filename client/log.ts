// Where the core's log goes: its standard output, which connect.ts made a file. Lines of one moment go out together, because a write for
// each line is a tenth of what a new connection costs. A disk that is full ends nothing: what waits is written when there is room again,
// and the end of the process does not wait for that (pino's own destination tries for ever then). Made by main.ts.
import { writeSync } from 'node:fs'
import { pino, type Logger } from 'pino'

const STDOUT = 1
/** How long a line may wait for others, in ms: whoever reads along does not see it. */
const GATHER_MS = 50
/** So many bytes wait for nothing. */
const GATHER_MAX_BYTES = 8 * 1024
/** What may wait for a disk that takes nothing; what is more is dropped. */
const WAITING_MAX_BYTES = 1024 * 1024
/** How soon that is tried again, in ms. */
const RETRY_MS = 1000

/** What is still gathered when the process ends goes out first. */
export function createLog(level: string): Logger {
  let waiting: Buffer[] = []
  let waitingBytes = 0
  let isStuck = false
  let timer: NodeJS.Timeout | undefined

  const flush = (): void => {
    clearTimeout(timer)
    timer = undefined
    let rest: Buffer = Buffer.concat(waiting)
    try {
      while (rest.length > 0) rest = rest.subarray(writeSync(STDOUT, rest))
      isStuck = false
    } catch {
      // There is no other place to say it.
      isStuck = true
      timer = setTimeout(flush, RETRY_MS).unref()
    }
    waiting = rest.length > 0 ? [rest] : []
    waitingBytes = rest.length
  }
  process.once('exit', flush)
  return pino(
    { base: { pid: process.pid }, level },
    {
      write(line: string) {
        const bytes = Buffer.from(line)
        if (waitingBytes + bytes.length > WAITING_MAX_BYTES) return
        waiting.push(bytes)
        waitingBytes += bytes.length
        if (isStuck) return
        // Not unref'd: a process that has nothing else to do has that to do.
        if (waitingBytes < GATHER_MAX_BYTES) timer ??= setTimeout(flush, GATHER_MS)
        else flush()
      },
    },
  )
}
