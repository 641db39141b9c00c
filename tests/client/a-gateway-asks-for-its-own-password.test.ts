// A password of the gateway's own (G18): made by Postern, carried by what people copy, checked in PostgreSQL's own words before
// anything is held or dialled.
import { readFile, stat } from 'node:fs/promises'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connectionSnippets } from '../../shared/connection-snippets.ts'
import type { GatewayView, Params } from '../../shared/rpc.ts'
import { psql, RawClient, TestCore, waitUntil, type TestCoreOptions, type TestHost } from '../support/client-core.ts'
import { TCP_RESOURCE } from '../support/fake-access-server.ts'
import { run } from '../support/run.ts'

let test: TestCore
let host: TestHost

async function start(options: TestCoreOptions = {}): Promise<void> {
  test = await TestCore.start(options)
  test.server.resources = ['orders', 'payments', 'cache']
  test.server.resourceDetails.set('cache', TCP_RESOURCE)
  host = await test.attach()
  await test.login(host)
}
const open = async (params: Partial<Params<'gateway.open'>> = {}): Promise<GatewayView> =>
  (await host.core.call('gateway.open', { resource: 'orders', keep: 'attached', ...params })).gateway

afterEach(() => test.close())

/** psql without any password but the one in the environment or the URL. */
const psqlWith = (url: string, password: string | undefined) =>
  run('psql', ['-X', '-A', '-t', '-w', '-c', 'select 1', url], {
    env: { PGPASSWORD: password, PGPASSFILE: '/dev/null' },
    timeoutMs: 30_000,
  })
/** What the fake server's database answers. */
const ROWS = 'you said: select 1\n'
const without = (gateway: GatewayView): string => gateway.url.replace(`:${gateway.password ?? ''}@`, '@')

describe('a gateway with a password', () => {
  let gateway: GatewayView
  beforeEach(async () => {
    await start()
    gateway = await open({ password: true })
  })

  it('G18: psql gets in with the copied URL, with PGPASSWORD, and not without', async () => {
    expect(gateway.password).toMatch(/^[\w-]{24,}$/)
    expect(gateway.guardedBy).toBe('password')
    expect(gateway.env['PGPASSWORD']).toBe(gateway.password)
    expect(await psql(gateway)).toMatchObject({ code: 0, stdout: ROWS })
    expect(await psqlWith(without(gateway), gateway.password)).toMatchObject({ code: 0, stdout: ROWS })
    const bare = await psqlWith(without(gateway), undefined)
    expect(bare.code).toBe(2)
    expect(bare.stderr).toContain('no password supplied')
  })

  it('G18, G7: a wrong password is 28P01 in plain words, never reaches the server, and is counted', async () => {
    const dials = test.server.seen.dials.length
    const client = new pg.Client({ connectionString: gateway.url.replace('@', 'x@') })
    await expect(client.connect()).rejects.toMatchObject({
      code: '28P01',
      severity: 'FATAL',
      message: expect.stringContaining('wrong password for this gateway'),
    })
    const again = await psqlWith(without(gateway), 'guess')
    expect(again.stderr).toContain('wrong password for this gateway')
    expect(test.server.seen.dials).toHaveLength(dials)
    expect(test.log.some((line) => line.includes('"wrongPasswords":2'))).toBe(true)
    const notices = host.all('notice').filter(({ text }) => text.includes('gave a wrong password'))
    expect(notices).toHaveLength(1)
  })

  it('G18, G2: while a login is missing a wrong password raises no dialog; the right one is held, then served', async () => {
    test.expire()
    expect((await psqlWith(without(gateway), 'guess')).stderr).toContain('wrong password')
    expect((await psqlWith(without(gateway), undefined)).code).toBe(2)
    expect(host.all('login.requested')).toHaveLength(0)
    const held = psql(gateway)
    const asked = await host.next('login.requested')
    await test.submit(host, asked.requestId)
    expect(await held).toMatchObject({ code: 0, stdout: ROWS })
  })

  it('G18, G7: a login that is cancelled while a client with the right password waits is told in its protocol', async () => {
    test.expire()
    const held = psql(gateway)
    const asked = await host.next('login.requested')
    await host.core.call('login.cancel', { requestId: asked.requestId, outcome: 'cancelled' })
    expect((await held).stderr).toContain('the login was cancelled')
  })

  it('G18: node-postgres, which checks the gateway in turn, gets in', async () => {
    const client = new pg.Client({ connectionString: gateway.url })
    await client.connect()
    expect((await client.query('select 1')).rowCount).toBe(1)
    await client.end()
  })

  it('G18: whoever breaks off, or answers nonsense, is closed without a word and without a dialog', async () => {
    test.expire()
    const answers = [
      Buffer.from('Q\0\0\0\x0dselect 1\0'),
      Buffer.from('p\0\0\0\x04'),
      Buffer.from('p\x7f\xff\xff\xff'),
      Buffer.from('p\0\0\0\x10SCRAM-SHA-1\0'),
      Buffer.from('p\0\0\0\x1eSCRAM-SHA-256\0\0\0\0\x08n,,n=,r='),
    ]
    for (const answer of answers) {
      const client = await RawClient.connect(gateway.port)
      await waitUntil(() => client.text.includes('SCRAM-SHA-256'), 'the question')
      client.socket.write(answer)
      await client.ended()
      expect(client.text).not.toContain('FATAL')
    }
    const leaving = await RawClient.connect(gateway.port)
    await waitUntil(() => leaving.text.includes('SCRAM-SHA-256'), 'the question')
    leaving.socket.destroy()
    expect(host.all('login.requested')).toHaveLength(0)
    await waitUntil(
      async () => (await host.core.call('gateway.list', {})).gateways[0]?.connections === 0,
      'the end of all of them',
    )
  })

  it('G18: a cancel request needs no password: it carries a secret of its own', async () => {
    await psql(gateway)
    const cancel = Buffer.alloc(16)
    cancel.writeUInt32BE(16)
    cancel.writeUInt32BE(80_877_102, 4)
    const client = await RawClient.connect(gateway.port, cancel)
    await client.ended()
    expect(test.server.seen.cancels).toHaveLength(1)
  })

  it('G18, G15: it is kept 0600, comes back with the gateway, and is the same when it is asked for again', async () => {
    await open({ keep: 'detached' })
    expect((await stat(test.home.gatewaysFile)).mode & 0o777).toBe(0o600)
    await test.core.stop()
    await test.restart()
    host = await test.attach()
    const restored = (await host.core.call('gateway.list', {})).gateways[0]
    expect(restored?.url).toBe(gateway.url)
    const off = await open({ password: false })
    expect(off).toMatchObject({ url: without(gateway), guardedBy: 'local user' })
    expect(off.password).toBeUndefined()
    expect(await psqlWith(off.url, undefined)).toMatchObject({ code: 0 })
    // What was chosen holds until something else is chosen.
    await host.core.call('gateway.close', { gateway: gateway.id })
    expect((await open()).password).toBeUndefined()
    expect((await open({ password: true })).url).toBe(gateway.url)
  })

  it('G18: everything that people copy carries it; logs and the diagnostics bundle do not', async () => {
    await psql(gateway)
    const { state } = await host.core.call('state.subscribe', {})
    const detail = (state as { gateways: Record<string, Parameters<typeof connectionSnippets>[0]> }).gateways[
      gateway.id
    ]!
    const snippets = connectionSnippets(detail, 'linux')
    const carriers = snippets.filter(({ text }) => text.includes(gateway.password ?? '?')).map(({ id }) => id)
    expect(carriers).toEqual(['psql', 'url', 'jdbc', 'env', 'dbeaver', 'datagrip', 'vscode'])
    const shell = snippets.find(({ id }) => id === 'psql')!.text.replace('psql ', 'psql -XAtw -c "select 1" ')
    const copied = await run('sh', ['-c', shell], { env: { PGPASSFILE: '/dev/null' } })
    expect(copied).toMatchObject({ code: 0, stdout: ROWS })
    const bundle = await host.core.call('diagnostics.bundle', {})
    expect(JSON.stringify(bundle)).not.toContain(gateway.password)
    expect(test.log.join('')).not.toContain(gateway.password)
    expect(await readFile(test.home.gatewaysFile, 'utf8')).toContain(gateway.password)
  })

  it('G18: plain TCP has no place for a password, and says so', async () => {
    await expect(open({ resource: 'cache', password: true })).rejects.toMatchObject({
      code: 'bad_request',
      message: expect.stringContaining('no place for a password'),
    })
  })
})

describe('whether a gateway has a password', () => {
  it('G18: on Linux it is off by default; the setting turns it on for gateways that are opened then', async () => {
    await start({ platform: 'linux' })
    const before = await open()
    expect(before.password).toBeUndefined()
    await host.core.call('settings.update', { gatewayPassword: 'on' })
    expect((await open({ resource: 'payments' })).password).toBeDefined()
    // One that is open stays what it is, and plain TCP is none the worse for it.
    expect((await open()).password).toBeUndefined()
    expect((await open({ resource: 'cache' })).guardedBy).toBe('local user')
    await expect(host.core.call('settings.update', { gatewayPassword: 'maybe' })).rejects.toMatchObject({
      code: 'bad_request',
    })
  })

  for (const platform of ['darwin', 'win32'] as const) {
    it(`G18: on ${platform}, which tells nobody whose a connection is, it is on by default and keeps others out`, async () => {
      await start({ platform })
      const gateway = await open()
      expect(gateway).toMatchObject({ guardedBy: 'password', password: expect.stringMatching(/^[\w-]{24,}$/) })
      expect(await psql(gateway)).toMatchObject({ code: 0 })
      expect((await psqlWith(without(gateway), 'guess')).stderr).toContain('wrong password')
      // Plain TCP has none, and what that means is said.
      expect(await open({ resource: 'cache' })).toMatchObject({ guardedBy: 'nothing' })
      expect((await open({ resource: 'payments', password: false })).guardedBy).toBe('nothing')
    })
  }

  it('G18: on a system that tells nobody, another user without the password is refused', async (context) => {
    if (process.getuid?.() !== 0) {
      await start()
      context.skip('needs root, to become another user: run npm test as root')
    }
    await start({ platform: 'darwin' })
    const gateway = await open()
    const asNobody = (url: string) =>
      run('psql', ['-X', '-w', '-c', 'select 1', url], {
        uid: 65_534,
        gid: 65_534,
        cwd: '/',
        env: { PGPASSWORD: undefined },
      })
    const refused = await asNobody(without(gateway).replace('@', ':guess@'))
    expect(refused.stderr).toContain('wrong password for this gateway')
    expect(test.server.seen.dials).toHaveLength(0)
  })
})
