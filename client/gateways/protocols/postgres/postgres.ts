// PostgreSQL at a gateway: the client speaks first, errors are ErrorResponses, a FIN is a hang-up.
import { ALPN } from '../../../../shared/names.ts'
import type { GatewayProtocol } from '../protocol.ts'
import { postgresEnvironment, postgresUrl } from './connection-strings.ts'
import { postgresErrorFor } from './errors.ts'
import { readPostgresFirstMessage } from './first-message.ts'
import { postgresPasswordCheck } from './password-check.ts'
import { endProbe, logInToPostgres, runStatement } from './probe.ts'

const PROBE_STATEMENT = 'select 1'

export const postgres: GatewayProtocol = {
  alpn: ALPN.postgres,
  isEndAHangUp: true,
  hasDatabases: true,
  readOpening: (socket, { signal }) => readPostgresFirstMessage(socket, signal),
  passwordCheck: postgresPasswordCheck,
  // Where libpq looks for it in the directory that host= names.
  socketName: ({ port }) => ({ name: `.s.PGSQL.${port}`, isNameFixed: true }),
  lastWordsFor: postgresErrorFor,
  stringsFor: (target) => ({ url: postgresUrl(target), env: postgresEnvironment(target) }),
  async probe(stream, { account, database }, step, signal) {
    await step('database login', async () => {
      const version = await logInToPostgres(stream, { user: account, database }, signal)
      return version === undefined ? null : `PostgreSQL ${version}`
    })
    await step(PROBE_STATEMENT, async () => {
      await runStatement(stream, PROBE_STATEMENT, signal)
      return null
    })
    endProbe(stream)
  },
}
