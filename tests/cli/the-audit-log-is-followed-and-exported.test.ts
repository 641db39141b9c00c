// R5: `postern audit` against a core that answers as the server does: what is followed survives failures without a gap or a
// double, what is exported goes on where it stopped.
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { showAudit } from '../../cli/commands/audit.ts'
import { exportAudit } from '../../cli/commands/audit-export.ts'
import { PosternError } from '../../shared/errors.ts'
import { makeContext, makeFakeCore, type FakeCore } from './support/fake-core.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-export-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const event = (seq: number) => ({
  seq,
  time: '2026-11-22T10:00:00.000Z',
  event: 'login.failed',
  ...{ user: 'alice', login: null, session: null, connection: null, resource: null, account: null, address: 'x:1' },
  detail: { how: 'password', code: 'bad_credentials', text: `föö ${'x'.repeat(50)}` },
})

/** A log of `last` events, `perPage` in an answer; `fail` is asked before each answer. */
function makeLog(last: () => number, perPage: number, fail: (ask: number) => Error | undefined = () => undefined) {
  let asks = 0
  const answer = async ({ path }: Record<string, unknown>) => {
    const query = new URL(String(path), 'http://x').searchParams
    const error = fail(++asks)
    if (error) throw error
    const after = Number(query.get('after') ?? last() - Number(query.get('limit')))
    const events = Array.from({ length: Math.max(0, Math.min(perPage, last() - after)) }, (_, n) =>
      event(after + n + 1),
    )
    const upTo = events.at(-1)?.seq ?? after
    // The long poll, which a server answers late.
    if (events.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    return { body: { events, upTo, more: upTo < last(), serverTime: '2026-11-22T10:00:00.000Z' } }
  }
  return { core: (): FakeCore => makeFakeCore({ 'api.call': answer }), asked: () => asks }
}

const seqsOf = (lines: string): number[] =>
  lines
    .split('\n')
    .filter(Boolean)
    .map((line) => (JSON.parse(line) as { seq: number }).seq)
const upTo = (last: number): number[] => Array.from({ length: last }, (_, n) => n + 1)

it('R5: following goes on behind the last event after a restart of the server, a new login and a new core', async () => {
  const errors: Record<number, Error> = {
    3: new PosternError('server_unreachable', 'the server is away'),
    4: new PosternError('login_expired', 'your login has expired; log in again: postern login'),
    6: new PosternError('core_unreachable', 'the core has ended'),
    7: new PosternError('internal', 'the access server cannot answer: its store cannot be reached'),
  }
  let last = 12
  const log = makeLog(
    () => last,
    5,
    (ask) => errors[ask],
  )
  const context = makeContext(Array.from({ length: 50 }, () => log.core()))
  const following = showAudit(context, { follow: true, json: true })
  await context.outShows('"seq":12')
  expect(context.err()).toContain('log in again')
  last = 13
  await context.outShows('"seq":13')
  context.interruptNow()
  await following
  expect(seqsOf(context.out())).toEqual(upTo(13))
})

it('R5: what keeps somebody out of the log ends the following, at once and with its reason', async () => {
  const denied = makeLog(
    () => 5,
    5,
    (ask) => (ask === 2 ? new PosternError('forbidden', 'needs viewer') : undefined),
  )
  await expect(showAudit(makeContext([denied.core()]), { follow: true })).rejects.toThrow('needs viewer')
  const away = makeLog(
    () => 5,
    5,
    () => new PosternError('server_unreachable', 'the server is away'),
  )
  await expect(showAudit(makeContext([away.core()]), { follow: true })).rejects.toThrow('the server is away')
})

it('R5: --limit shows the newest ones', async () => {
  const context = makeContext([makeLog(() => 100, 1000).core()])
  await showAudit(context, { limit: 3, json: true })
  expect(seqsOf(context.out())).toEqual([98, 99, 100])
})

it('R5: an export is every event once, to stdout and to a file that only its owner reads', async () => {
  const file = join(directory, 'export.jsonl')
  const toStdout = makeContext([makeLog(() => 42, 5).core()])
  await exportAudit(toStdout, {})
  expect(seqsOf(toStdout.out())).toEqual(upTo(42))
  const toFile = makeContext([makeLog(() => 42, 5).core()])
  await exportAudit(toFile, { output: file })
  expect(await readFile(file, 'utf8')).toBe(toStdout.out())
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect(toFile.err()).toContain('42 events exported')
  await expect(exportAudit(makeContext([makeLog(() => 42, 5).core()]), { output: file })).rejects.toThrow('--resume')
})

it('R5: an export that was broken off at any byte goes on where it stopped', async () => {
  const file = join(directory, 'export.jsonl')
  await exportAudit(makeContext([makeLog(() => 20, 5).core()]), { output: file })
  const whole = await readFile(file)
  const cuts = [0, 1, 9, whole.indexOf('\n'), whole.indexOf('\n') + 1, whole.length - 1, whole.length]
  for (const cut of [...cuts, ...Array.from({ length: 12 }, (_, n) => Math.floor((whole.length * n) / 12))]) {
    await writeFile(file, whole.subarray(0, cut))
    await exportAudit(makeContext([makeLog(() => 20, 5).core()]), { output: file, resume: true })
    expect((await readFile(file)).equals(whole), `cut at ${cut}`).toBe(true)
  }
})

it('R5: a server that goes away in the middle is said with how far it came, and the rest comes later', async () => {
  const file = join(directory, 'export.jsonl')
  const gone = (ask: number) => (ask === 3 ? new PosternError('server_unreachable', 'the server is away') : undefined)
  const broken = exportAudit(makeContext([makeLog(() => 42, 5, gone).core()]), { output: file })
  await expect(broken).rejects.toThrow(/the server is away\. 10 events are in .*--resume/)
  await exportAudit(makeContext([makeLog(() => 42, 5).core()]), { output: file, resume: true })
  expect(seqsOf(await readFile(file, 'utf8'))).toEqual(upTo(42))
})

it('R5: --resume leaves a file alone that is no export', async () => {
  const file = join(directory, 'precious.txt')
  for (const text of ['precious', 'precious\n', '{"seq":1}\n', '{"a":1}\n{"se']) {
    await writeFile(file, text)
    const resumed = exportAudit(makeContext([makeLog(() => 2, 5).core()]), { output: file, resume: true })
    await expect(resumed, text).rejects.toMatchObject({ code: 'bad_request' })
    expect(await readFile(file, 'utf8')).toBe(text)
  }
})
