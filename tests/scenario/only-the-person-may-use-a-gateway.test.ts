// G18 and bad bytes: another local user, web pages, port scans and broken clients get nowhere and raise no login.
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import net from 'node:net'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  psql,
  startCluster,
  type OpenGateway,
  type TestCluster,
  logInBriefly,
  untilExpired,
} from '../support/cluster.ts'
import { run, until } from '../support/run.ts'

let cluster: TestCluster
let home: string
let gateway: OpenGateway
beforeAll(async () => {
  cluster = await startCluster()
  home = await cluster.newHome()
  await cluster.login(home)
  gateway = await cluster.open(home, 'orders')
  await logInBriefly(cluster, home)
  await untilExpired(cluster, home)
})
afterAll(async () => {
  await cluster.close()
})

/** Sends bytes, ends, and collects the answer until the gateway closes. */
async function send(bytes: Uint8Array): Promise<string> {
  const socket = net.connect({ host: gateway.host, port: gateway.port })
  await once(socket, 'connect')
  let answer = ''
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')))
  // A reset is as good an answer as a FIN.
  const closed = new Promise((resolve) => socket.once('error', () => undefined).once('close', resolve))
  socket.end(bytes)
  await closed
  return answer
}

const asked = () => /login_needed/.test(gateway.process.output)

describe('whoever is not the person', () => {
  it('G18: another local user is refused in the protocol, root is let through', async (context) => {
    if (process.getuid?.() !== 0) context.skip('only root can become a second local user: run npm test as root')
    await chmod(cluster.directory, 0o755)
    const other = await run('psql', ['-X', gateway.url, '-c', 'select 1'], {
      uid: 65534,
      gid: 65534,
      env: { HOME: '/' },
    })
    expect(other.code).toBe(2)
    expect(other.stderr).toMatch(/FATAL: .*another (local )?user|opened by/i)
    expect(asked()).toBe(false)
  })

  it('G2: an HTTP request, as a web page could make it, is closed without a login being asked', async () => {
    const answer = await send(Buffer.from('POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n'))
    expect(answer).not.toMatch(/AuthenticationOk/)
    expect(asked()).toBe(false)
  })

  it('G2: garbage, half a startup packet, an absurd length and a TLS ClientHello raise no login and hurt nobody', async () => {
    const startup = Buffer.concat([Buffer.from([0, 0, 0, 40, 0, 3, 0, 0]), Buffer.from('user\0reader\0')])
    const hello = Buffer.concat([Buffer.from([22, 3, 1, 1, 0, 1, 0, 0, 252]), Buffer.alloc(252)])
    for (const bytes of [
      Buffer.from('garbage that is no packet'),
      startup,
      Buffer.from([255, 255, 255, 255, 0, 3, 0, 0]),
      hello,
      Buffer.alloc(0),
      Buffer.alloc(100_000, 7),
    ]) {
      const startedAt = Date.now()
      await send(bytes)
      // Else it would be held for minutes.
      expect(Date.now() - startedAt).toBeLessThan(20_000)
    }
    expect(asked()).toBe(false)
    await cluster.login(home)
    expect(await psql(gateway.url, ['-c', 'select 1'])).toMatchObject({ code: 0, stdout: '1\n' })
  })
})

describe('the person', () => {
  it('G18: has a socket and a password by the command line: psql goes through both, db query needs neither said, help names them', async () => {
    const own = await cluster.newHome()
    await cluster.login(own)
    const dir = await mkdtemp(join(tmpdir(), 'ps-'))
    try {
      const opened = await cluster.open(own, 'orders', ['--password', '--socket', dir])
      const { socket, socketUrl } = opened as { socket?: string; socketUrl?: string }
      expect(socket).toBe(join(dir, `.s.PGSQL.${opened.port}`))
      expect(opened.env['PGPASSWORD']).toMatch(/^[\w-]{24,}$/)
      expect(await psql(opened.url, ['-c', 'select 1'])).toMatchObject({ code: 0, stdout: '1\n' })
      expect(await psql(socketUrl ?? '', ['-c', 'select 1'])).toMatchObject({ code: 0, stdout: '1\n' })
      const wrong = await psql(opened.url.replace('@', 'x@'), ['-w', '-c', 'select 1'])
      expect(wrong.stderr).toContain('wrong password for this gateway')
      const query = await cluster.postern(own, ['db', 'query', 'orders', 'select 7 as seven', '--json'])
      expect(query).toMatchObject({ code: 0, stdout: expect.stringContaining('"seven":7') })
      const refused = await cluster.postern(own, ['gateway', 'open', 'orders', '--socket', '/', '--detach'])
      expect(refused.code).toBe(1)
      expect(refused.stderr).toMatch(/another socket|others may write|close it first|belongs to/)
      await opened.process.stop('SIGINT')
      await until(async () => (await readdir(dir)).length === 0, 'the socket to go with its gateway')
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })
})
