// The access server as a process whose control streams ask every second: for tests of what is noticed when a process stops, which
// would otherwise take 45 s each. Takes the flags of `postern server start --config FILE --json …` and is ended by SIGTERM.
import { parseArgs } from 'node:util'
import { loadConfig } from '../../server/config.ts'
import { startServer, type StartOptions } from '../../server/start.ts'

/** In ms; three seconds to answer in are enough for a busy machine's process that runs. */
export const SHORT_TIMINGS = { pingEveryMs: 1000, answerWithinMs: 3000 }

/** What this process is, as long as it lives. */
export async function serve(more: Partial<StartOptions> = {}): Promise<void> {
  const { values } = parseArgs({
    allowPositionals: true,
    options: { config: { type: 'string' }, json: { type: 'boolean' } },
  })
  const server = await startServer(loadConfig(values.config), {
    now: () => new Date(),
    version: '0.0.0-test',
    controlTimings: SHORT_TIMINGS,
    ...more,
  })
  console.log(JSON.stringify({ address: server.address, fingerprint: server.fingerprint }))
  process.once('SIGTERM', () => void server.stop('SIGTERM'))
}

if (import.meta.main) await serve()
