// The access server as a process that lives on when its files may not grow: a test takes the room away and gives it back with
// `prlimit --fsize`, which is a full disk for everything that it writes. Takes the flags of `postern server start --config FILE --json …` and is
// ended by SIGTERM.
import { parseArgs } from 'node:util'
import { loadConfig } from '../../server/config.ts'
import { startServer } from '../../server/start.ts'

// Without this, the first write beyond the limit would end the process instead of failing (setrlimit(2)).
process.on('SIGXFSZ', () => undefined)
const { values } = parseArgs({
  allowPositionals: true,
  options: { config: { type: 'string' }, json: { type: 'boolean' } },
})
const server = await startServer(loadConfig(values.config), { now: () => new Date(), version: '0.0.0-test' })
const { address, fingerprint, operations } = server
console.log(JSON.stringify({ address, fingerprint, operations }))
process.once('SIGTERM', () => void server.stop('SIGTERM'))
