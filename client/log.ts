// Where the core's log goes: its standard output, which connect.ts made a file. Lines of one moment go out together, because a write for
// each line is a tenth of what a new connection costs. Made by main.ts.
import { destination, pino, type Logger } from 'pino'

/** How long a line may wait for others, in ms: whoever reads along does not see it. */
const GATHER_MS = 50
/** So many bytes wait for nothing. */
const GATHER_MAX_BYTES = 8 * 1024

/** What is still gathered when the process ends goes out first. */
export function createLog(level: string): Logger {
  const out = destination({ sync: false, minLength: GATHER_MAX_BYTES })
  let timer: NodeJS.Timeout | undefined
  const flush = (): void => {
    timer = undefined
    out.flush()
  }
  return pino(
    { base: { pid: process.pid }, level },
    {
      write(line: string) {
        out.write(line)
        // Not unref'd: a process that has nothing else to do has that to do.
        timer ??= setTimeout(flush, GATHER_MS)
      },
    },
  )
}
