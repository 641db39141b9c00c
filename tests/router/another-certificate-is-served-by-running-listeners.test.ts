// C7 on the wire: the real server on its public port gets another certificate while connections are open.
import { once } from 'node:events'
import tls from 'node:tls'
import pino from 'pino'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ALPN } from '../../shared/names.ts'
import { openPublicPort } from '../../server/router/public-port.ts'
import { newKeyAndCsr } from '../server/support/access-server.ts'
import { ask, preambleOf, startSpokenToServer, type SpokenToServer } from './support/speak-to-server.ts'

let here: SpokenToServer
beforeAll(async () => {
  here = await startSpokenToServer()
})
afterAll(() => here.server.close())

it('C7, C4: what is connected goes on, new handshakes get the new one, on every name, and no session is resumed', async () => {
  const login = await here.server.logIn('alice')
  const known = here.authority.serverCaPem
  const before = await here.connect(ALPN.control, login)
  expect(await ask(before, 'GET', '/v1/me')).toMatchObject({ user: 'alice' })
  const old = before.getPeerX509Certificate()?.fingerprint256
  const route = await here.route(login)
  const [session] = await here.ticketsOf(ALPN.postgres, route, preambleOf)
  await here.call('POST', '/v1/admin/ca/rotate', {}, here.server.root)
  const { cas } = await here.call('GET', '/v1/cluster')
  expect(cas).toHaveLength(2)
  // What sessions were resumed by is of no use any more, which a client does not notice (C4).
  const late = await here.connect(ALPN.postgres, { session, ...route, ca: cas })
  expect(late.isSessionReused()).toBe(false)
  expect(await preambleOf(late)).toBe('ok')
  late.destroy()
  const [fresh = ''] = cas
  for (const [alpn, credentials] of [
    [ALPN.web, {}],
    [ALPN.control, login],
    [ALPN.postgres, await here.route(login)],
  ] as const) {
    for (const ca of [known, fresh]) {
      const socket = await here.connect(alpn, { ...credentials, ca })
      expect(socket.authorized).toBe(true)
      expect(socket.getPeerX509Certificate()?.fingerprint256).not.toBe(old)
      socket.destroy()
    }
  }
  expect(await ask(before, 'GET', '/v1/me')).toMatchObject({ user: 'alice', renewCertificate: true })
  expect(await here.dial(ALPN.postgres, await here.route(login))).toBe('ok')
  before.destroy()
})

it('C7: one that cannot be used changes nothing', async () => {
  const material = await here.authority.serverTls(['127.0.0.1'])
  const port = await openPublicPort({
    host: '127.0.0.1',
    port: 0,
    material,
    clientCas: [],
    onConnection: (socket) => socket.end('here'),
    log: pino({ level: 'silent' }),
  })
  try {
    const other = newKeyAndCsr().key
    expect(() => port.setIdentity({ material: { ...material, key: other }, clientCas: [] })).toThrow()
    expect(() => port.setIdentity({ material: { key: 'no', cert: 'PEM' }, clientCas: [] })).toThrow()
    for (const alpn of [ALPN.web, ALPN.control]) {
      const socket = tls.connect({
        host: '127.0.0.1',
        port: port.port,
        ca: here.authority.serverCaPem,
        ALPNProtocols: [alpn],
      })
      await once(socket, 'secureConnect')
      expect(socket.authorized).toBe(true)
      socket.destroy()
    }
  } finally {
    await port.destroy()
  }
})
