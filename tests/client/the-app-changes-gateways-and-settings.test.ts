// What a person changes in the app: a gateway's port and database, the connection test, profiles, settings, notices.
import { createServer, type Server } from 'node:net'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { z } from 'zod'
import { encodeQuery } from '../../shared/wire/postgres/frontend-messages.ts'
import { AppState, ConnectionTest, Diagnostics } from '../../shared/app-state.ts'
import type { GatewayView } from '../../shared/rpc.ts'
import { freePort } from '../support/free-port.ts'
import { psql, RawClient, TestCore, waitUntil, type TestHost } from '../support/client-core.ts'

let test: TestCore
let host: TestHost
let gateway: GatewayView

beforeEach(async () => {
  test = await TestCore.start()
  host = await test.attach({ kind: 'window' })
  await test.login(host)
  gateway = await test.open(host, 'orders', 'detached')
})
afterEach(() => test.close())

const Bundle = z.object({
  id: z.string(),
  log: z.array(z.string()),
  state: z.object({ gateways: z.record(z.string(), z.unknown()) }),
})
const stateNow = async (): Promise<AppState> => AppState.parse((await host.core.call('state.subscribe', {})).state)
const listening = async (): Promise<Server> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}
const connects = (port: number): Promise<boolean> => {
  const client = new RawClient(port)
  return new Promise((resolve) => {
    client.socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
  }).then((does) => {
    client.socket.destroy()
    return does === true
  })
}
const runTest = async (): Promise<ConnectionTest> =>
  ConnectionTest.parse(await host.core.call('gateway.test', { gateway: gateway.id }))

it('G15: a new port listens before the old one stops, connections go on, and it is kept over a restart', async () => {
  const client = await RawClient.connect(gateway.port)
  await waitUntil(() => client.text.includes('server_version'), 'the connection')
  const port = await freePort()
  const changed = await host.core.call('gateway.update', { gateway: gateway.id, port })
  expect(changed).toMatchObject({ id: gateway.id, port, state: 'listening' })
  expect(changed.url).toContain(`:${port}/`)
  expect((await psql(changed)).code).toBe(0)
  expect(await connects(gateway.port)).toBe(false)
  client.socket.write(encodeQuery('select still'))
  await waitUntil(() => client.text.includes('select still'), 'the old connection to go on')
  client.socket.destroy()
  await test.core.stop()
  await test.restart()
  host = await test.attach({ kind: 'window' })
  const { gateways } = await host.core.call('gateway.list', {})
  expect(gateways).toMatchObject([{ id: gateway.id, port }])
})

it('G15: a port that cannot be had keeps the old one, and says who has it', async () => {
  const taken = await listening()
  const { port } = taken.address() as AddressInfo
  await expect(host.core.call('gateway.update', { gateway: gateway.id, port })).rejects.toMatchObject({
    code: 'port_conflict',
    message: expect.stringContaining('another program'),
  })
  const payments = await test.open(host, 'payments')
  await expect(host.core.call('gateway.update', { gateway: gateway.id, port: payments.port })).rejects.toMatchObject({
    code: 'port_conflict',
    message: expect.stringContaining('payments as reader'),
  })
  expect((await stateNow()).gateways[gateway.id]).toMatchObject({ port: gateway.port, state: 'listening' })
  expect((await psql(gateway)).code).toBe(0)
  await new Promise((resolve) => taken.close(resolve))
})

it('G15: a gateway that came back to a taken port is freed by another one', async () => {
  await test.core.stop()
  const thief = createServer().listen(gateway.port, '127.0.0.1')
  await once(thief, 'listening')
  await test.restart()
  host = await test.attach({ kind: 'window' })
  expect((await stateNow()).gateways[gateway.id]).toMatchObject({ state: 'port conflict', port: gateway.port })
  const changed = await host.core.call('gateway.update', { gateway: gateway.id, port: await freePort() })
  expect(changed.state).toBe('listening')
  expect((await psql(changed)).code).toBe(0)
  await new Promise((resolve) => thief.close(resolve))
})

it('G16: another database changes the strings only, for good', async () => {
  const client = await RawClient.connect(gateway.port)
  await waitUntil(() => client.text.includes('server_version'), 'the connection')
  const changed = await host.core.call('gateway.update', { gateway: gateway.id, database: 'archive' })
  expect(changed).toMatchObject({ id: gateway.id, port: gateway.port, database: 'archive', connections: 1 })
  expect(changed.env['PGDATABASE']).toBe('archive')
  expect(new URL(changed.url).pathname).toBe('/archive')
  expect(await readFile(test.home.gatewaysFile, 'utf8')).toContain('"archive"')
  client.socket.destroy()
})

it('G2: a connection test goes the whole way and times each step', async () => {
  const result = await runTest()
  expect(result).toMatchObject({ ok: true })
  expect(result.steps.map(({ name, ok }) => [name, ok])).toEqual([
    ['certificate', true],
    ['access server', true],
    ['database login', true],
    ['select 1', true],
  ])
  expect(result.steps[2]?.text).toBe('PostgreSQL 15.0')
  expect(result.totalMs).toBeGreaterThan(0)
})

it('G2: a connection test asks nobody to log in, and says which step failed in whose words', async () => {
  test.server.refuseDial = () => ({ code: 'account_denied', text: 'reader is not for you' })
  expect((await runTest()).steps).toMatchObject([{ ok: true }, { name: 'access server', ok: false }])
  expect((await runTest()).steps.at(-1)?.text).toContain('reader is not for you')
  test.server.refuseDial = undefined
  test.expire()
  const expired = await runTest()
  expect(expired.steps).toMatchObject([{ name: 'certificate', ok: false }])
  expect(expired.steps[0]?.text).toContain('has expired')
  expect(host.all('login.requested')).toHaveLength(0)
})

it('G17: a profile that is removed takes its login, gateways, ports and files with it', async () => {
  await stateNow()
  await host.core.call('profile.remove', { profile: 'test' })
  expect(test.server.seen.logouts).toBe(1)
  expect(test.server.seen.closedRoutes).toEqual([])
  expect(await readdir(test.home.profilesDir)).toEqual([])
  expect(JSON.parse(await readFile(test.home.gatewaysFile, 'utf8'))).toMatchObject({ gateways: [] })
  expect(await connects(gateway.port)).toBe(false)
  const other = await test.attach({ kind: 'window' })
  expect((await other.core.call('state.subscribe', {})).state).toMatchObject({ profiles: {}, gateways: {} })
  // And it can come back.
  await test.login(host)
  expect((await test.open(host)).state).toBe('listening')
})

it('G17: the profile that a person turns to is the current one', async () => {
  await host.core.call('profile.select', { profile: 'test' })
  expect((await stateNow()).currentProfile).toBe('test')
  await expect(host.core.call('profile.select', { profile: 'nowhere' })).rejects.toMatchObject({
    code: 'profile_unknown',
  })
})

it('G9: settings are effective at once, kept in the file with what stands there, and everybody sees them', async () => {
  await writeFile(test.home.settingsFile, JSON.stringify({ idleExit: '7s' }))
  const settings = await host.core.call('settings.update', { loginHardLimit: 90_000, theme: 'dark' })
  expect(settings).toMatchObject({ loginHardLimit: 90_000, theme: 'dark' })
  expect(JSON.parse(await readFile(test.home.settingsFile, 'utf8'))).toEqual({
    idleExit: '7s',
    loginHardLimit: '90s',
    theme: 'dark',
  })
  const state = await stateNow()
  expect(state.settings).toMatchObject({ loginHardLimit: 90_000, theme: 'dark', loginWait: 60_000 })
  expect(state.gateways[gateway.id]?.url).toContain('connect_timeout=120')
})

it('G9: a wrong setting is named and changes nothing', async () => {
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ themes: 'dark' }, /themes/],
    [{ theme: 'pink' }, /theme/],
    [{ loginWait: 5 }, /loginWait/],
    [{ loginWait: 60 * 60_000 }, /loginHardLimit is shorter than loginWait/],
    [{ portRange: { from: 20_000, to: 10_000 } }, /portRange/],
    [{ portRange: { from: 80, to: 90 } }, /portRange.*1024/],
    [{ backgroundMode: 'yes' }, /backgroundMode/],
  ]
  for (const [changes, problem] of wrong) {
    await expect(host.core.call('settings.update', changes)).rejects.toMatchObject({
      code: 'bad_request',
      message: expect.stringMatching(problem),
    })
  }
  await expect(stat(test.home.settingsFile)).rejects.toMatchObject({ code: 'ENOENT' })
  expect((await stateNow()).settings.loginWait).toBe(60_000)
})

it('G16: new gateways get ports of the range that was set; those that are open keep theirs', async () => {
  await host.core.call('settings.update', { portRange: { from: 21_000, to: 21_999 } })
  const { port } = await test.open(host, 'payments')
  expect(port).toBeGreaterThanOrEqual(21_000)
  expect(port).toBeLessThanOrEqual(21_999)
  expect((await stateNow()).gateways[gateway.id]?.port).toBe(gateway.port)
})

it('G17: background mode keeps the core without any host', async () => {
  await host.core.call('gateway.close', { gateway: gateway.id })
  await host.core.call('settings.update', { backgroundMode: true })
  await test.core.stop()
  const kept = await TestCore.start({ settings: { idleExit: 100, backgroundMode: true } })
  let hasEnded = false
  void kept.core.ended.then(() => (hasEnded = true))
  const passing = await kept.attach()
  await passing.core.close()
  // Longer than it would live without it; that nothing happens cannot be waited for.
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(hasEnded).toBe(false)
  await kept.close()
})

it('G19: equal notices are one with a count; they can be read and cleared, and everybody is still told', async () => {
  test.server.refusedRoutes.set('orders', { code: 'internal', text: 'orders is out of order' })
  await test.submit(host)
  await test.submit(host)
  await waitUntil(() => host.all('notice').length === 2, 'both to be told')
  const [notice, ...others] = Object.values((await stateNow()).notices)
  expect(others).toEqual([])
  expect(notice).toMatchObject({ level: 'warning', profile: 'test', gateway: gateway.id, count: 2, isRead: false })
  await host.core.call('notice.read', { ids: [notice!.id, 'unknown'] })
  const { state } = await (await test.attach()).core.call('state.subscribe', {})
  await waitUntil(async () => {
    const now = AppState.parse((await (await test.attach()).core.call('state.subscribe', {})).state)
    return now.notices[notice!.id]?.isRead === true
  }, 'it to be read')
  expect(AppState.parse(state).notices[notice!.id]?.text).toContain('orders is out of order')
  await host.core.call('notice.clear', {})
  await waitUntil(async () => Object.keys((await stateNow()).notices).length === 0, 'the list to be empty')
})

it('E1: a diagnostics bundle has no name, address, path or secret in it, and is for the person only', async () => {
  await psql(gateway, 'select 1')
  await host.core.call('resource.list', {})
  await host.core.call('gateway.update', { gateway: gateway.id, database: 'salaries' })
  const pem = await readFile(join(test.home.profilesDir, 'test.user.pem'), 'utf8')
  const extra = {
    level: 30,
    err: { message: `no way from 10.20.30.40 for anna@example.com to payments in ${test.home.dir}/x and /home/anna/y` },
    password: 'open sesame',
    pem,
  }
  await writeFile(test.home.logFile, [...test.log, `${JSON.stringify(extra)}\n`, `crash: ${pem}\n`].join(''))
  const bundle = Diagnostics.parse(await host.core.call('diagnostics.bundle', {}))
  expect(await readFile(bundle.file, 'utf8')).toBe(bundle.text)
  expect((await stat(bundle.file)).mode & 0o777).toBe(0o600)
  const secrets = pem.split('\n').filter((line) => line.length > 20)
  const names = ['alice', 'orders', 'payments', 'reader', 'salaries', 'anna', '10.20.30.40', 'open sesame', gateway.id]
  for (const name of [...names, test.home.dir, test.server.ca.fingerprint, ...secrets]) {
    expect(bundle.text, name).not.toContain(name)
  }
  // The profile is called test, which is also a part of other words.
  expect(bundle.text).not.toMatch(/"test"/)
  const parsed = Bundle.parse(JSON.parse(bundle.text))
  expect(parsed.id).toBe(bundle.id)
  expect(parsed.log.length).toBeGreaterThan(3)
  // The same name has the same stand-in wherever it stands.
  expect(Object.values(parsed.state.gateways)).toMatchObject([{ resource: '<resource-1>', state: 'listening' }])
  expect(parsed.log.join('\n')).toContain('"resource":"<resource-1>"')
})
