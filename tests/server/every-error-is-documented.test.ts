// E1: docs/errors.md against the code: every code with its HTTP status, exit code and SQLSTATE, and every way a session ends.
import { readFile } from 'node:fs/promises'
import { beforeAll, expect, it } from 'vitest'
import { exitCodeFor } from '../../cli/print-error.ts'
import { postgresErrorFor } from '../../client/gateways/protocols/postgres/errors.ts'
import { endedByPostern, lastWordsFor } from '../../server/engines/postgres/client-errors.ts'
import { SessionEnded } from '../../server/seams.ts'
import { SESSION_END_REASONS } from '../../shared/session-api.ts'
import { ERROR_CATALOGUE, PosternError, type ErrorCode } from '../../shared/errors.ts'
import { parseErrorFields } from '../../shared/wire/postgres/backend-messages.ts'
import { SQLSTATE } from '../../shared/wire/postgres/fatal-errors.ts'

type Row = { meaning: string; http: string; states: string[]; exit: string; help: string }
let rows: Map<string, Row>
let page: string
let startupSource: string
beforeAll(async () => {
  const read = (file: string) => readFile(new URL(`../../${file}`, import.meta.url), 'utf8')
  page = await read('docs/errors.md')
  startupSource = await read('server/engines/postgres/client-startup.ts')
  const [, table = ''] = page.split('## Codes')
  rows = new Map(
    [...table.matchAll(/^\| `(\w+)` \| (.+?) \| (\d+) \| (.+?) \| (\d) \| (.+?) \|$/gm)].map(
      ([, code = '', meaning = '', http = '', states = '', exit = '', help = '']) => [
        code,
        { meaning, http, states: states === '–' ? [] : states.split(', '), exit, help },
      ],
    ),
  )
})

const stateOf = (bytes: Buffer): string => parseErrorFields(bytes.subarray(5)).code
const CODES = Object.keys(ERROR_CATALOGUE) as ErrorCode[]

it('E1: the page has exactly the codes of the catalogue', () => {
  expect([...rows.keys()].sort()).toEqual([...CODES].sort())
})

it('E1: HTTP status and exit code are those of the code', () => {
  for (const code of CODES)
    expect([code, rows.get(code)?.http, rows.get(code)?.exit]).toEqual([
      code,
      String(ERROR_CATALOGUE[code].http),
      String(exitCodeFor(new PosternError(code, ''))),
    ])
})

it('E1: SQLSTATEs are those that the gateway and the server say, and none that the server says is missing', () => {
  const names = { profile: 'p', resource: 'r', account: 'a', loginCommand: 'l' }
  // StartupRefusal: the code, then the SQLSTATE, as written in the one place that makes them.
  const startup = new Map(
    [...startupSource.matchAll(/'(\w+)',\s*SQLSTATE\.(\w+),/g)].map(([, code, name]) => [
      code,
      SQLSTATE[name as keyof typeof SQLSTATE],
    ]),
  )
  expect(startup.size).toBe(3)
  for (const code of CODES) {
    const gateway = stateOf(postgresErrorFor(new PosternError(code, 'x'), names))
    const words = lastWordsFor(new PosternError(code, 'x'), 'r', () => 'id')
    const server = startup.get(code) ?? (words.code === code ? stateOf(words.bytes) : undefined)
    const documented = rows.get(code)?.states ?? []
    if (server !== undefined) expect([code, documented]).toEqual([code, [server]])
    else if (documented.length > 0) expect([code, documented]).toEqual([code, [gateway]])
  }
})

it('E1: every reason of an end is there in the words that clients get', () => {
  for (const reason of SESSION_END_REASONS) {
    const { code, message } = parseErrorFields(endedByPostern(new SessionEnded(reason)).subarray(5))
    const words = message.replace('Postern ended this session: ', '')
    expect(code).toBe('57P01')
    expect(page).toMatch(new RegExp(`\\| \`${reason}\` \\| ${words} \\|`))
  }
})
