// One core per home (G17), as real processes: started by the first host, found by the others, killed, replaced, hidden behind
// a long path.
import { spawn } from 'node:child_process'
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { connectToCore, stopCore, type CoreConnection } from '../../client/connect.ts'
import { freshDirectory, psql, RawClient, startup, waitUntil } from '../support/client-core.ts'
import { FakeAccessServer, PASSWORD } from '../support/fake-access-server.ts'

let home: string
let server: FakeAccessServer
const host = { kind: 'terminal' as const, canAsk: false, appVersion: 'test' }

beforeEach(async () => {
  home = await freshDirectory()
  server = await new FakeAccessServer().start()
})
afterEach(async () => {
  await stopCore(home).catch(() => false)
  await server.close()
  await rm(home, { recursive: true, force: true })
})

const login = async (core: CoreConnection): Promise<void> => {
  await core.call('profile.add', { address: server.address, caPin: server.ca.fingerprint })
  await core.call('login.submit', { user: 'alice', password: PASSWORD })
}

it('G17: two terminals at the same moment end up with one core', async () => {
  const cores = await Promise.all(Array.from({ length: 4 }, () => connectToCore({ home, ...host })))
  expect(new Set(cores.map((core) => core.core.pid)).size).toBe(1)
  const found = await stat(join(home, 'core.sock'))
  expect(found.mode & 0o777).toBe(0o600)
  expect((await stat(home)).mode & 0o777).toBe(0o700)
  await Promise.all(cores.map((core) => core.close()))
})

it('G17: the deadline of connecting ends with connecting: a host stays attached long after it', async () => {
  const connecting = new AbortController()
  const core = await connectToCore({ home, ...host, signal: connecting.signal })
  connecting.abort(new Error('too late to matter'))
  expect(await core.call('gateway.list', {})).toEqual({ gateways: [] })
  await core.close()
})

it('G17: a core that is killed with SIGKILL while psql is connected leaves a home that starts again, on the same port', async () => {
  const first = await connectToCore({ home, ...host })
  await login(first)
  const { gateway } = await first.call('gateway.open', { resource: 'orders', keep: 'detached' })
  const client = await RawClient.connect(gateway.port, startup())
  await waitUntil(() => client.text.includes('server_version'), 'the connection')
  process.kill(first.core.pid, 'SIGKILL')
  await first.closed
  await client.ended()
  const second = await connectToCore({ home, ...host })
  expect(second.core.pid).not.toBe(first.core.pid)
  const { gateways } = await second.call('gateway.list', {})
  expect(gateways).toMatchObject([{ id: gateway.id, port: gateway.port, state: 'listening', keep: 'detached' }])
  expect((await psql(gateway)).stdout.trim()).toBe('you said: select 1')
  await second.close()
})

it('G17: the core ends by itself after its last host, unless a detached gateway is open', async () => {
  await writeFile(join(home, 'settings.json'), JSON.stringify({ idleExit: '100ms' }))
  const core = await connectToCore({ home, ...host })
  await core.close()
  await waitUntil(() => !isAlive(core.core.pid), 'the core to end')

  const again = await connectToCore({ home, ...host })
  await login(again)
  const { gateway } = await again.call('gateway.open', { resource: 'orders', keep: 'detached' })
  await again.close()
  expect((await psql(gateway)).code).toBe(0)
  expect(isAlive(again.core.pid)).toBe(true)
  expect(await stopCore(home)).toBe(true)
  expect(await stopCore(home)).toBe(false)
})

it('G17: SIGTERM ends the core gracefully', async () => {
  const core = await connectToCore({ home, ...host })
  process.kill(core.core.pid, 'SIGTERM')
  await core.closed
  await waitUntil(() => !isAlive(core.core.pid), 'the core to end')
  expect(await readFile(join(home, 'core.log'), 'utf8')).toContain('core ends')
})

it('G17: a very long POSTERN_HOME works: the control socket goes where it fits', async () => {
  const long = join(home, ...Array.from({ length: 8 }, () => 'a-rather-long-directory-name'))
  await mkdir(long, { recursive: true })
  const core = await connectToCore({ home: long, ...host })
  const other = await connectToCore({ home: long, ...host })
  expect(other.core.pid).toBe(core.core.pid)
  await Promise.all([core.close(), other.close()])
  await stopCore(long)
})

it('G17: an older core that is in use is named with both versions; an idle one makes room', async () => {
  let isIdle = false
  const old = createServer((socket) => {
    let text = ''
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        const call = JSON.parse(text.slice(0, end))
        text = text.slice(end + 1)
        const result =
          call.method === 'hello'
            ? { rpcVersion: 0, appVersion: '0.0.9', pid: 1, home }
            : { retired: isIdle, text: 'it has 2 open gateways' }
        socket.write(`${JSON.stringify({ id: call.id, result })}\n`)
        if (call.method !== 'hello' && isIdle) {
          old.close()
          socket.end()
        }
      }
    })
  })
  const socket = join(home, 'old.sock')
  await new Promise<void>((resolve) => old.listen(socket, () => resolve()))
  await writeFile(join(home, 'core.json'), JSON.stringify({ socket, pid: 1 }))
  await expect(connectToCore({ home, ...host })).rejects.toMatchObject({
    code: 'core_version',
    message: expect.stringMatching(/0\.0\.9 .*test.*it has 2 open gateways.*postern core stop/s),
  })
  isIdle = true
  const core = await connectToCore({ home, ...host })
  expect(core.core.rpcVersion).toBe(1)
  await core.close()
})

it('G9: settings with an unknown key keep the core from starting, and the host is told file and key', async () => {
  await writeFile(join(home, 'settings.json'), JSON.stringify({ loginwait: '60s' }))
  await expect(connectToCore({ home, ...host })).rejects.toMatchObject({
    code: 'misconfigured',
    message: expect.stringMatching(/settings\.json.*loginwait/),
  })
  await writeFile(join(home, 'settings.json'), JSON.stringify({ loginWait: 'soon' }))
  await expect(connectToCore({ home, ...host })).rejects.toMatchObject({
    message: expect.stringMatching(/loginWait.*"soon" is not a duration/),
  })
  await rm(join(home, 'settings.json'))
})

it('G17: a home that belongs to another user is refused', async (context) => {
  if (process.getuid?.() !== 0) context.skip('needs root, to give a directory away')
  const theirs = join(home, 'theirs')
  await mkdir(theirs)
  await new Promise((resolve) => spawn('chown', ['nobody', theirs]).once('exit', resolve))
  await expect(connectToCore({ home: theirs, ...host })).rejects.toMatchObject({
    code: 'misconfigured',
    message: expect.stringContaining('belongs to another user'),
  })
})

it('G17: start false does not start a core', async () => {
  await expect(connectToCore({ home, ...host, start: false })).rejects.toMatchObject({ code: 'core_unreachable' })
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
