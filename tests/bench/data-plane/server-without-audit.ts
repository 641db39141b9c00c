// The access server as it is, but for the audit: what the engines tell it is dropped. No setting of the product does that; it is
// here so that the benchmark can say what the audit costs. Started by postern.ts in place of `server/main.ts start`.
import { parseArgs } from 'node:util'
import { createAuditLog } from '../../../server/audit/audit-log.ts'
import { loadConfig } from '../../../server/config.ts'
import { startServer } from '../../../server/start.ts'

const { values } = parseArgs({
  options: { config: { type: 'string' }, json: { type: 'boolean' }, 'route-ttl': { type: 'string' } },
  allowPositionals: true,
})
const routeTtl = values['route-ttl']
const config = loadConfig(values.config, routeTtl === undefined ? {} : { routeTtl })
const server = await startServer(config, {
  now: () => new Date(),
  version: 'bench',
  openAudit: (options) => ({ ...createAuditLog(options), record: () => undefined }),
})
process.stdout.write(
  `${JSON.stringify({ cluster: config.cluster, address: server.address, fingerprint: server.fingerprint })}\n`,
)
process.once('SIGTERM', () => void server.stop('the benchmark is over'))
