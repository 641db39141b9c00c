// Who may connect (G18), what closing and logging out do (G19), and that bytes pass unharmed (G1).
import { createConnection } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { z } from 'zod'
import type { GatewayView } from '../../shared/rpc.ts'
import { psql, RawClient, startup, TestCore, waitUntil, type TestHost } from '../support/client-core.ts'
import { run } from '../support/run.ts'

let test: TestCore
let host: TestHost
let gateway: GatewayView

beforeEach(async () => {
  test = await TestCore.start()
  host = await test.attach()
  await test.login(host)
  gateway = await test.open(host)
})
afterEach(() => test.close())

const connected = async (port: number, database?: string): Promise<RawClient> => {
  const client = await RawClient.connect(port, startup(database))
  await waitUntil(() => client.text.includes('server_version'), 'the connection')
  return client
}

it('G18: another local user is refused in PostgreSQL words, raises no login request, and never reaches the server', async (context) => {
  if (process.getuid?.() !== 0) context.skip('needs root, to become another user')
  test.expire()
  const nobody = 65_534
  const result = await run('psql', ['-X', '-w', '-c', 'select 1', gateway.url], { uid: nobody, gid: nobody, cwd: '/' })
  expect(result.stderr).toContain('this gateway belongs to another user')
  expect(host.all('login.requested')).toHaveLength(0)
  expect(test.server.seen.dials).toHaveLength(0)
})

it('G18: a burst of connections of the person passes', async () => {
  const results = await Promise.all(Array.from({ length: 30 }, () => connected(gateway.port)))
  expect(results).toHaveLength(30)
  for (const client of results) client.socket.destroy()
})

it('G19: closing a gateway ends running and held connections at once, tells the server, and keeps the port', async () => {
  const running = await connected(gateway.port)
  const startedAt = performance.now()
  const { closed } = await host.core.call('gateway.close', { gateway: 'orders' })
  await running.ended()
  expect(performance.now() - startedAt).toBeLessThan(10_000)
  expect(closed.state).toBe('closed')
  expect(test.server.seen.closedRoutes).toHaveLength(1)
  await expect(RawClient.connect(gateway.port).then((client) => client.ended())).rejects.toThrow()
  expect((await test.open(host)).port).toBe(gateway.port)
})

it('G19: an error of closing is reported, and the gateway is closed all the same', async () => {
  // Only a gateway that was used has a session to end.
  await connected(gateway.port)
  await test.server.close()
  await host.core.call('gateway.close', { gateway: gateway.id })
  expect(await host.next('notice')).toMatchObject({
    text: expect.stringContaining('could not be told to end its session'),
  })
  expect((await host.core.call('gateway.list', {})).gateways).toEqual([])
})

it('G19: logging out ends connections at once; the listener stays and asks again', async () => {
  const running = await connected(gateway.port)
  await host.core.call('logout', {})
  await running.ended()
  expect(test.server.seen.logouts).toBe(1)
  const { profiles } = await host.core.call('profile.list', {})
  expect(profiles[0]).toMatchObject({ state: 'signed out', user: 'alice' })
  const waiting = psql(gateway)
  const asked = await host.next('login.requested')
  await test.submit(host, asked.requestId)
  expect((await waiting).code).toBe(0)
})

it('G19: a held client of a gateway that closes is told so', async () => {
  test.expire()
  const client = await RawClient.connect(gateway.port)
  await host.next('login.requested')
  await host.core.call('gateway.close', { gateway: 'orders/reader' })
  await client.ended()
  expect(client.text).toContain('was closed')
  expect(await host.next('login.closed')).toMatchObject({ outcome: 'withdrawn' })
})

it('G19: every log line of a connection carries gateway, resource and connection', async () => {
  await psql(gateway)
  await waitUntil(() => test.log.some((line) => line.includes('"disconnected"')), 'the log line')
  const LogLine = z.looseObject({ msg: z.string() })
  const lines = test.log
    .map((line) => LogLine.parse(JSON.parse(line)))
    .filter((line) => ['connected', 'disconnected'].includes(line.msg))
  expect(lines.length).toBeGreaterThanOrEqual(2)
  for (const line of lines) {
    expect(line).toMatchObject({
      gateway: gateway.id,
      resource: 'orders',
      connection: expect.stringContaining(gateway.id),
    })
  }
  expect(test.log.join('')).not.toContain('open sesame')
})

it('G17: the end of the terminal that opened a gateway closes it; a detached one stays', async () => {
  const other = await test.attach()
  const payments = await test.open(other, 'payments', 'detached')
  await host.core.close()
  await waitUntil(async () => (await other.core.call('gateway.list', {})).gateways.length === 1, 'the gateway to close')
  expect((await psql(payments)).code).toBe(0)
})

it('G16: opening what is open gives the same gateway; another database changes its strings only', async () => {
  const again = await host.core.call('gateway.open', { resource: 'orders', database: 'other db', keep: 'attached' })
  expect(again).toMatchObject({ owned: false, gateway: { id: gateway.id, port: gateway.port } })
  expect(again.gateway.url).toContain('/other%20db?')
  const both = await Promise.all([
    host.core.call('gateway.open', { resource: 'payments', keep: 'attached' }),
    host.core.call('gateway.open', { resource: 'payments', keep: 'attached' }),
  ])
  expect(both.map((one) => one.owned).sort()).toEqual([false, true])
  const otherAccount = await host.core.call('gateway.open', { resource: 'orders', account: 'writer', keep: 'attached' })
  expect(otherAccount.gateway.id).not.toBe(gateway.id)
})

it('G1: 64 MB with a pattern pass both directions through a slow reader, with half-close', async () => {
  const total = 64 * 1024 * 1024
  const socket = createConnection({ host: '127.0.0.1', port: gateway.port, allowHalfOpen: true })
  socket.write(startup('echo'))
  const greeting = await new Promise<Buffer>((resolve) => socket.once('data', resolve))
  expect(greeting.subarray(-6).toString('latin1')).toBe('Z\0\0\0\x05I')
  const patternAt = (offset: number, size: number): Buffer => {
    const bytes = Buffer.alloc(size)
    for (let index = 0; index < size; index += 4) bytes.writeUInt32BE((offset + index) >>> 0, index)
    return bytes
  }
  const step = 256 * 1024
  const send = async (): Promise<void> => {
    for (let sent = 0; sent < total; sent += step) {
      if (!socket.write(patternAt(sent, step)))
        await new Promise<void>((resolve) => socket.once('drain', () => resolve()))
    }
    socket.end()
  }
  const receive = async (): Promise<number> => {
    let seen = 0
    let rest = Buffer.alloc(0)
    let chunks = 0
    for await (const chunk of socket) {
      rest = Buffer.concat([rest, chunk as Buffer])
      const whole = rest.length - (rest.length % 4)
      if (!rest.subarray(0, whole).equals(patternAt(seen, whole))) throw new Error(`bytes differ after ${seen}`)
      seen += whole
      rest = rest.subarray(whole)
      // A reader that pauses now and then: back-pressure has to reach the sender and nothing may be lost.
      if (++chunks % 200 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return seen + rest.length
  }
  const [, received] = await Promise.all([send(), receive()])
  expect(received).toBe(total)
})
