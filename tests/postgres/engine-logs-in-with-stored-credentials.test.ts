import { pbkdf2Sync } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeAuthentication, encodeReadyForQuery } from '../../shared/wire/postgres/backend-messages.ts'
import { SaltedPasswords } from '../../server/engines/postgres/salted-passwords.ts'
import { startScram } from '../../server/engines/postgres/scram.ts'
import { dialTarget } from '../../server/engines/postgres/target-dial.ts'
import { useTestPostgres } from '../support/postgres.ts'
import { psql, SHOP_SQL, startHarness, type HarnessOptions } from './engine-harness.ts'
import { makeAuthority, type CertificateAuthority } from './target-certificates.ts'

const METHODS = { scram: 'scram-sha-256', md5: 'md5', clear: 'password', trust: 'trust', unicode: 'scram-sha-256' }
const PASSWORDS: Record<string, string> = {
  scram: "it's 42%",
  md5: 'md5-password',
  clear: 'clear-password',
  unicode: 'pä\u00a0ß\u2168',
}

const cluster = useTestPostgres({
  initialSql: [
    ...SHOP_SQL,
    ...Object.keys(METHODS).map((role) => ({
      database: 'postgres',
      sql: `set password_encryption = '${role === 'md5' ? 'md5' : 'scram-sha-256'}'; create role ${role} login password '${(PASSWORDS[role] ?? 'x').replace("'", "''")}'`,
    })),
  ],
})
let authority: CertificateAuthority
beforeAll(async () => {
  const lines = [
    'host all postgres,changing 127.0.0.1/32 scram-sha-256',
    ...Object.entries(METHODS).map(([role, method]) => `host all ${role} 127.0.0.1/32 ${method}`),
  ]
  await writeFile(join(cluster.current.clusterDir, 'pg_hba.conf'), `${lines.join('\n')}\n`)
  authority = await makeAuthority()
  // Reloads the settings, and pg_hba.conf with them.
  await authority.installOn(cluster.current, 'IP:127.0.0.1')
})
afterAll(() => authority.remove())

async function connectWith(options: Partial<HarnessOptions>) {
  const engine = await startHarness({ address: `127.0.0.1:${cluster.current.port}`, databases: ['*'], ...options })
  try {
    const finished = await psql(engine.url('shop'), ['-c', 'select current_user']).done
    await engine.settled()
    return { ...finished, engine }
  } finally {
    await engine.close()
  }
}

describe.each(['disable', 'require', 'verify-full'] as const)('with tls %s', (mode) => {
  it.each(Object.keys(METHODS))('DB1: %s authentication to the target', async (account) => {
    const tls = { mode, ca: authority.pem }
    const { stdout, stderr } = await connectWith({ account, password: PASSWORDS[account], tls })
    expect(stderr).toBe('')
    expect(stdout).toBe(`${account}\n`)
  })

  it.each(['scram', 'md5', 'clear'])(
    'E1: a wrong %s password says that the administrator must fix it, and nothing else',
    async (account) => {
      const tls = { mode, ca: authority.pem }
      const { stderr, engine } = await connectWith({ account, password: 'wrong', tls })
      expect(stderr).toContain('does not accept the credentials that Postern has stored')
      expect(stderr).toContain('(error E1)')
      expect(stderr).toContain('administrator of the access server must fix')
      expect(stderr).not.toMatch(/127\.0\.0\.1:\d+ .*password authentication|pg_hba|role "/)
      expect(engine.reported).toMatchObject([{ code: 'target_auth', errorId: 'E1' }])
      expect(engine.state.activations).toBe(0)
      expect((await engine.event('connection.close')).detail).toMatchObject({ reason: 'target_auth', errorId: 'E1' })
    },
  )
})

it('DB1: SCRAM is bound to the TLS channel where the target offers it', async () => {
  const target = {
    address: `127.0.0.1:${cluster.current.port}`,
    tls: { mode: 'verify-full' as const, ca: authority.pem },
  }
  const { socket, serverEndPoint } = await dialTarget(target, AbortSignal.timeout(30_000))
  socket.destroy()
  // With this, the logins above were bound: PostgreSQL offers PLUS over TLS, and refuses a wrong binding.
  expect(serverEndPoint).toHaveLength(32)
  const mechanisms = ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256']
  const offered = { password: 'x', salted: new SaltedPasswords(), nonce: 'abc', mechanisms }
  const bound = startScram({ ...offered, serverEndPoint: Buffer.from('hash') })
  expect([bound.mechanism, bound.first.toString()]).toEqual(['SCRAM-SHA-256-PLUS', 'p=tls-server-end-point,,n=,r=abc'])
  const unbound = startScram({ ...offered, serverEndPoint: undefined })
  expect([unbound.mechanism, unbound.first.toString()]).toEqual(['SCRAM-SHA-256', 'n,,n=,r=abc'])
  const stripped = startScram({ ...offered, mechanisms: ['SCRAM-SHA-256'], serverEndPoint: Buffer.from('hash') })
  expect(stripped.first.toString()).toBe('y,,n=,r=abc')
})

it('C1: what SCRAM derives from a password is kept for that password, salt and count alone, and for some hundred at most', async () => {
  const salted = new SaltedPasswords()
  const salt = Buffer.from('salt-1')
  const first = salted.derive('secret', salt, 1)
  expect(salted.derive('secret', salt, 1)).toBe(first)
  expect(await first).toEqual(pbkdf2Sync('secret', salt, 1, 32, 'sha256'))
  const others = [
    salted.derive('secret2', salt, 1),
    salted.derive('secret', Buffer.from('salt-2'), 1),
    salted.derive('secret', salt, 2),
  ]
  const values = (await Promise.all([first, ...others])).map((value) => value.toString('hex'))
  expect(new Set(values).size).toBe(4)
  for (let n = 0; n < 300; n++) void salted.derive(`other ${n}`, salt, 1)
  expect(salted.derive('secret', salt, 1)).not.toBe(first)
  expect(await salted.derive('secret', salt, 1)).toEqual(await first)
})

it('DB1: a password that was changed at the target and in the store counts from the next connection on', async () => {
  const password = { current: 'first-password' }
  await cluster.current.sql(`create role changing login password '${password.current}'`)
  const engine = await startHarness({
    address: `127.0.0.1:${cluster.current.port}`,
    tls: { mode: 'require' },
    account: 'changing',
    fetchPassword: () => Promise.resolve(password.current),
    databases: ['*'],
  })
  try {
    const connect = async () => psql(engine.url('postgres'), ['-c', 'select 1']).done
    expect((await connect()).stdout).toBe('1\n')
    expect((await connect()).stdout).toBe('1\n')
    await cluster.current.sql(`alter role changing password 'second-password'`)
    expect((await connect()).stderr).toContain('does not accept the credentials')
    password.current = 'second-password'
    expect((await connect()).stdout).toBe('1\n')
  } finally {
    await engine.close()
  }
})

it("E1: an account without a stored password is the administrator's to fix", async () => {
  const { stderr, engine } = await connectWith({ account: 'scram', password: undefined })
  expect(stderr).toContain('does not accept the credentials')
  expect(String((engine.reported[0]!.cause as Error).cause)).toContain('none is stored')
})

it('E1: an account that pg_hba.conf does not know shows nothing of it', async () => {
  const { stderr } = await connectWith({ account: 'app', password: 'app-password' })
  expect(stderr).toContain('does not accept the credentials')
  expect(stderr).not.toContain('pg_hba')
})

describe('a target that is not what it should be', () => {
  async function fakeTarget(play: (socket: Socket) => void): Promise<{ address: string; close: () => void }> {
    const server = createServer(play)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { address: `127.0.0.1:${(server.address() as { port: number }).port}`, close: () => server.close() }
  }
  const scramWithout = (last: (socket: Socket) => void) => (socket: Socket) => {
    let messages = 0
    socket
      .on('error', () => undefined)
      .on('data', (data) => {
        messages++
        if (messages === 1) socket.write(encodeAuthentication({ kind: 'sasl', mechanisms: ['SCRAM-SHA-256'] }))
        else if (messages === 2) {
          const nonce = /r=([^,]+)/.exec(data.toString('latin1'))?.[1] ?? ''
          socket.write(
            encodeAuthentication({ kind: 'sasl-continue', data: Buffer.from(`r=${nonce}x,s=c2FsdA==,i=4096`) }),
          )
        } else last(socket)
      })
  }
  it.each<[string, (socket: Socket) => void]>([
    [
      'lets us in without its signature',
      scramWithout((socket) =>
        socket.write(Buffer.concat([encodeAuthentication({ kind: 'ok' }), encodeReadyForQuery()])),
      ),
    ],
    [
      'sends a wrong signature',
      scramWithout((socket) => socket.write(encodeAuthentication({ kind: 'sasl-final', data: Buffer.from('v=AAAA') }))),
    ],
    [
      'asks for a method that nobody speaks',
      (socket) =>
        socket
          .on('error', () => undefined)
          .once('data', () => socket.write(Buffer.from('R\0\0\0\x08\0\0\0\x07', 'latin1'))),
    ],
  ])('DB1: a target that %s is not trusted', async (_, play) => {
    const target = await fakeTarget(play)
    try {
      const { stderr, engine } = await connectWith({ address: target.address, password: 'x' })
      expect(stderr).toContain('does not accept the credentials')
      expect(engine.state.activations).toBe(0)
    } finally {
      target.close()
    }
  })

  it.each<[string, (socket: Socket) => void]>([
    ['says nothing', () => undefined],
    ['hangs up', (socket) => socket.destroy()],
    ['speaks HTTP', (socket) => socket.on('error', () => undefined).end('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ])('E1: a target that %s cannot be reached, and the session is never active', async (_, play) => {
    const target = await fakeTarget(play)
    try {
      const { stderr, engine } = await connectWith({ address: target.address, password: 'x', dialTimeoutMs: 500 })
      expect(stderr).toContain('Postern cannot reach the database "orders" (error E1)')
      expect(stderr).not.toContain(target.address)
      expect(engine.state.activations).toBe(0)
    } finally {
      target.close()
    }
  })
})
