// `postern db query RESOURCE "select …"`: one statement through a gateway, for machines without psql. It opens the gateway
// if none is open and can ask for a login itself while its connection is held.
import pg from 'pg'
import { PosternError } from '../../shared/errors.ts'
import type { GatewayView } from '../../shared/rpc.ts'
import { answerLoginRequests, type LoginAnswerer } from '../answer-login-requests.ts'
import type { Context } from '../context.ts'
import { formatTable } from '../table.ts'
import { withCore } from '../with-core.ts'

export type QueryOptions = { profile?: string; account?: string; database?: string; json?: boolean }

/** Longer than the core's hard limit of a wait (5 min), where the gateway names none, in ms. */
const CONNECT_TIMEOUT_MS = 330_000

/** Types whose text means the same in JSON: booleans, int2, int4, float4, float8, oid. Everything else stays text. */
const NUMBER_TYPES = [21, 23, 26, 700, 701]
const BOOLEAN_TYPE = 16
/** json and jsonb. */
const JSON_TYPES = [114, 3802]

type Rows = {
  command: string
  rowCount: number | null
  fields: { name: string; dataTypeID: number }[]
  rows: (string | null)[][]
}

/**
 * Runs the statement and prints its rows. More than one statement is refused by PostgreSQL itself (SQLSTATE 42601): it goes
 * over as a prepared one.
 * @throws PosternError `bad_request` for what is no database, `internal` with the SQLSTATE for what the database refuses, `login_required` if the login that the
 *   statement needed did not happen, and the core's errors
 */
export async function queryDatabase(
  context: Context,
  resource: string,
  statement: string,
  options: QueryOptions,
): Promise<void> {
  await withCore(
    context,
    async (core) => {
      const answerer = answerLoginRequests(core, context.terminal)
      core.on('login.needed', (prompt) =>
        context.terminal.stderr.write(
          `postern: a login is needed, in another terminal: postern login --profile ${prompt.profile} --user ${prompt.user}\n`,
        ),
      )
      try {
        const { gateway } = await core.call('gateway.open', {
          resource,
          keep: 'attached',
          ...(options.profile === undefined ? {} : { profile: options.profile }),
          ...(options.account === undefined ? {} : { account: options.account }),
          ...(options.database === undefined ? {} : { database: options.database }),
        })
        if (gateway.protocol !== 'postgres')
          throw new PosternError(
            'bad_request',
            `${resource} is plain TCP, not a database: open it with "postern gateway open ${resource}".`,
          )
        const result = await run(gateway, options.database ?? gateway.database, statement, answerer, context.interrupt)
        context.terminal.stdout.write(options.json ? formatJson(result) : formatRows(result))
      } finally {
        await answerer.stop()
      }
    },
    { canAsk: context.terminal.canAsk },
  )
}

async function run(
  gateway: GatewayView,
  database: string,
  statement: string,
  answerer: LoginAnswerer,
  interrupt: AbortSignal,
): Promise<Rows> {
  const timeoutSeconds = Number(gateway.env['PGCONNECT_TIMEOUT'] ?? 0)
  const client = new pg.Client({
    host: gateway.host,
    port: gateway.port,
    user: gateway.account,
    ...(gateway.password === undefined ? {} : { password: gateway.password }),
    database,
    ssl: false,
    application_name: 'postern db query',
    connectionTimeoutMillis: timeoutSeconds > 0 ? timeoutSeconds * 1000 : CONNECT_TIMEOUT_MS,
    // Values as PostgreSQL prints them: what JSON can say better is converted below.
    types: { getTypeParser: () => (text: string) => text },
  })
  // An interrupt takes the connection away; the core and the server end the statement at the database.
  const onInterrupt = () => void client.end().catch(() => undefined)
  interrupt.addEventListener('abort', onInterrupt, { once: true })
  // A connection that breaks between two answers is told by the query's own rejection.
  client.on('error', () => undefined)
  try {
    await client.connect()
    // `queryMode` (pg 8.12 and newer) is not in the published types.
    const query: pg.QueryArrayConfig & { queryMode: 'extended' } = {
      text: statement,
      rowMode: 'array',
      queryMode: 'extended',
    }
    const result = await client.query<(string | null)[]>(query)
    return { command: result.command, rowCount: result.rowCount, fields: result.fields, rows: result.rows }
  } catch (error) {
    throw describeFailure(error, answerer)
  } finally {
    interrupt.removeEventListener('abort', onInterrupt)
    await client.end().catch(() => undefined)
  }
}

/** What PostgreSQL (or the gateway in its place) said, with its SQLSTATE; positions and hints in their own sentences. */
function describeFailure(error: unknown, answerer: LoginAnswerer): PosternError {
  if (!(error instanceof pg.DatabaseError))
    return new PosternError(
      'target_unreachable',
      `The connection broke: ${error instanceof Error ? error.message : ''}`,
      {
        cause: error,
      },
    )
  const state = error.code ?? 'unknown'
  const more = [error.detail, error.hint].filter((text) => text !== undefined && text !== '').join(' ')
  const text = `${error.severity ?? 'ERROR'}: ${error.message} (SQLSTATE ${state})${more === '' ? '' : ` ${more}`}`
  const detail = { sqlstate: state }
  if (state === '28000')
    return new PosternError(answerer.lastOutcome() === undefined ? 'forbidden' : 'login_required', text, { detail })
  return new PosternError('internal', text, { cause: error, detail })
}

function formatRows(result: Rows): string {
  const count = result.rowCount ?? 0
  if (result.fields.length === 0) return `${result.command}${result.rowCount === null ? '' : ` ${count}`}\n`
  const columns = result.fields.map((field) =>
    NUMBER_TYPES.includes(field.dataTypeID) || [20, 1700].includes(field.dataTypeID)
      ? { title: field.name, align: 'right' as const }
      : { title: field.name },
  )
  const rows = result.rows.map((row) => row.map((value) => value ?? 'NULL'))
  return `${formatTable(columns, rows)}(${count} ${count === 1 ? 'row' : 'rows'})\n`
}

function formatJson(result: Rows): string {
  const columns = result.fields.map(({ name }) => name)
  const rows = result.rows.map((row) =>
    Object.fromEntries(result.fields.map((field, index) => [field.name, toJson(row[index] ?? null, field.dataTypeID)])),
  )
  return `${JSON.stringify({ command: result.command, rowCount: result.rowCount, columns, rows })}\n`
}

function toJson(text: string | null, type: number): unknown {
  if (text === null) return null
  if (type === BOOLEAN_TYPE) return text === 't'
  // NaN and Infinity have no JSON number.
  if (NUMBER_TYPES.includes(type)) return Number.isFinite(Number(text)) ? Number(text) : text
  if (JSON_TYPES.includes(type)) return JSON.parse(text)
  return text
}
