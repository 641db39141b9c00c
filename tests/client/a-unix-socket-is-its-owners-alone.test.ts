// The Unix socket of a gateway (G18): where libpq looks for it, 0600 from its first moment, nobody else's, gone with the gateway.
import { chmod, chown, lstat, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { createConnection, createServer } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { listenOnUnixSocket, placeSocket } from '../../client/gateways/unix-listener.ts'
import { connectionSnippets } from '../../shared/connection-snippets.ts'
import type { GatewayView, Params } from '../../shared/rpc.ts'
import { psql, TestCore, waitUntil, type TestHost } from '../support/client-core.ts'
import { TCP_RESOURCE } from '../support/fake-access-server.ts'
import { freePort } from '../support/free-port.ts'
import { run } from '../support/run.ts'

let test: TestCore
let host: TestHost
/** Short, as people's own are: macOS's temporary directory is long already. */
let dir: string

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'ps-'))
  test = await TestCore.start()
  test.server.resources = ['orders', 'payments', 'cache']
  test.server.resourceDetails.set('cache', TCP_RESOURCE)
  host = await test.attach()
  await test.login(host)
})
afterEach(async () => {
  await test.close()
  await rm(dir, { recursive: true, force: true })
})

const open = async (params: Partial<Params<'gateway.open'>> = {}): Promise<GatewayView> =>
  (await host.core.call('gateway.open', { resource: 'orders', keep: 'attached', socket: dir, ...params })).gateway
const ROWS = 'you said: select 1\n'
const byDirectory = (port: number, more: { uid?: number; gid?: number } = {}) =>
  run('psql', ['-X', '-A', '-t', '-w', '-h', dir, '-p', String(port), '-U', 'reader', '-c', 'select 1', 'orders'], {
    cwd: '/',
    ...more,
  })
const isThere = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  )

it('G18: psql -h DIRECTORY -p PORT goes through it, the port stays beside it, and the file is 0600', async () => {
  const gateway = await open()
  const path = join(dir, `.s.PGSQL.${gateway.port}`)
  expect(gateway.socket).toBe(path)
  const file = await lstat(path)
  expect(file.isSocket()).toBe(true)
  expect(file.mode & 0o777).toBe(0o600)
  expect(await byDirectory(gateway.port)).toMatchObject({ code: 0, stdout: ROWS })
  expect(await psql({ url: gateway.socketUrl ?? '' })).toMatchObject({ code: 0, stdout: ROWS })
  expect(await psql(gateway)).toMatchObject({ code: 0, stdout: ROWS })
  // Nothing is left of how it was made.
  expect(await readdir(dir)).toEqual([`.s.PGSQL.${gateway.port}`])
  const { state } = await host.core.call('state.subscribe', {})
  const detail = (state as { gateways: Record<string, Parameters<typeof connectionSnippets>[0]> }).gateways[gateway.id]!
  expect(connectionSnippets(detail, 'linux').find(({ id }) => id === 'socket')?.text).toBe(gateway.socketUrl)
})

it('G18: a gateway with a password asks for none on its socket, whose rights are the check', async () => {
  const gateway = await open({ password: true })
  expect(gateway.socketUrl).not.toContain(gateway.password)
  expect(await byDirectory(gateway.port)).toMatchObject({ code: 0, stdout: ROWS })
})

it('G18: another local user cannot open it, even where the directory lets them in', async (context) => {
  if (process.getuid?.() !== 0) context.skip('needs root, to become another user: run npm test as root')
  const gateway = await open()
  await chmod(dir, 0o755)
  const result = await byDirectory(gateway.port, { uid: 65_534, gid: 65_534 })
  expect(result.code).toBe(2)
  expect(result.stderr).toContain('Permission denied')
  expect(test.server.seen.dials).toHaveLength(0)
})

it('G18: at no moment has it wider rights than 0600, whatever the umask', async () => {
  const before = process.umask(0)
  try {
    const path = join(dir, 's')
    const seen: string[] = []
    const watching = new AbortController()
    const watch = (async () => {
      while (!watching.signal.aborted) {
        const file = await lstat(path).catch(() => undefined)
        if (file && (file.mode & 0o777) !== 0o600) seen.push((file.mode & 0o777).toString(8))
        await new Promise((resolve) => setImmediate(resolve))
      }
    })()
    for (let round = 0; round < 50; round++) (await listenOnUnixSocket(path, (socket) => socket.destroy())).stop()
    watching.abort()
    await watch
    expect(seen).toEqual([])
  } finally {
    process.umask(before)
  }
})

it('G19: it is gone with its gateway, and moves with its port', async () => {
  const gateway = await open()
  const first = gateway.socket!
  const free = await freePort()
  const moved = await host.core.call('gateway.update', { gateway: gateway.id, port: free })
  expect(moved.socket).toBe(join(dir, `.s.PGSQL.${free}`))
  expect(await isThere(first)).toBe(false)
  expect(await byDirectory(free)).toMatchObject({ code: 0, stdout: ROWS })
  await host.core.call('gateway.close', { gateway: gateway.id })
  expect(await readdir(dir)).toEqual([])
})

it('G17: a detached gateway comes back with its socket, in place of the one that a killed core has left', async () => {
  const gateway = await open({ keep: 'detached' })
  await test.core.stop()
  // What SIGKILL leaves: a socket that nobody listens on.
  const script = `require('net').createServer().listen(${JSON.stringify(gateway.socket)}, () => process.kill(process.pid, 'SIGKILL'))`
  await run(process.execPath, ['-e', script]).catch(() => undefined)
  expect(await isThere(gateway.socket!)).toBe(true)
  await test.restart()
  host = await test.attach()
  expect((await host.core.call('gateway.list', {})).gateways[0]).toMatchObject({
    state: 'listening',
    socket: gateway.socket,
  })
  expect(await byDirectory(gateway.port)).toMatchObject({ code: 0, stdout: ROWS })
})

it('G18: a socket on which somebody listens is a conflict that names it; so is what is no socket', async () => {
  const { port } = await open({ socket: undefined })
  await host.core.call('gateway.close', { gateway: 'orders' })
  const path = join(dir, `.s.PGSQL.${port}`)
  const other = createServer().listen(path)
  await once(other, 'listening')
  await expect(open({ port })).rejects.toMatchObject({
    code: 'port_conflict',
    message: expect.stringContaining(`${path} is taken: another program listens there`),
  })
  expect(await isThere(path)).toBe(true)
  await new Promise((resolve) => other.close(resolve))
  await writeFile(path, 'something')
  await expect(open({ port })).rejects.toMatchObject({ message: expect.stringContaining('no socket lies there') })
  // The port was not kept by the attempt.
  expect((await open({ socket: undefined, port })).port).toBe(port)
})

it('G18: opening what is open adds a socket; another one beside it is refused', async () => {
  const gateway = await open({ socket: undefined })
  expect(gateway.socket).toBeUndefined()
  expect((await open()).socket).toBe(join(dir, `.s.PGSQL.${gateway.port}`))
  expect((await open()).socket).toBe(join(dir, `.s.PGSQL.${gateway.port}`))
  const other = join(dir, 'other')
  await mkdir(other, { mode: 0o700 })
  await expect(open({ socket: other })).rejects.toMatchObject({ code: 'conflict' })
})

it('G18: a directory that is not the person’s alone is refused with the way out', async (context) => {
  const uid = process.getuid?.()
  const place = (path: string, platform: NodeJS.Platform = 'linux') =>
    placeSocket({ path, name: '.s.PGSQL.15432', isNameFixed: true, uid, platform })
  await expect(place(join(dir, 'nowhere', '.s.PGSQL.15432'))).rejects.toThrow('there is no directory')
  await expect(place('relative')).rejects.toThrow('absolute')
  await expect(place(join(dir, 'my.sock'))).rejects.toThrow('clients look for a socket named .s.PGSQL.15432')
  await expect(place(dir, 'win32')).rejects.toThrow('do not exist on this system')
  await chmod(dir, 0o777)
  await expect(place(dir)).rejects.toThrow('others may write to it; use a directory of yours with mode 0700')
  const inner = join(dir, 'inner')
  await mkdir(inner, { mode: 0o700 })
  await expect(place(inner)).rejects.toThrow('another user could move')
  await chmod(dir, 0o700)
  expect(await place(inner)).toBe(join(inner, '.s.PGSQL.15432'))
  // A link is as good as where it leads.
  await symlink('/tmp', join(dir, 'link'))
  await expect(place(join(dir, 'link'))).rejects.toThrow(/others may write|another user/)
  if (uid !== 0) context.skip('the rest needs root, to give a directory away: run npm test as root')
  await chown(inner, 65_534, 65_534)
  await expect(place(inner)).rejects.toThrow('it belongs to another user (uid 65534)')
})

it('G18: a path that is too long for a socket says how long it is and how long it may be', async () => {
  const long = join(dir, 'x'.repeat(100))
  await mkdir(long, { mode: 0o700 })
  const path = join(long, '.s.PGSQL.15432')
  const wish = { path: long, name: '.s.PGSQL.15432', isNameFixed: true, uid: process.getuid?.() }
  await expect(placeSocket({ ...wish, platform: 'linux' })).rejects.toThrow(
    `${Buffer.byteLength(path)} bytes of at most 107`,
  )
  await expect(placeSocket({ ...wish, platform: 'darwin' })).rejects.toThrow('of at most 103')
  // The longest that fits is really listened on.
  const fit = join(dir, 'y'.repeat(107 - Buffer.byteLength(dir) - 1 - '/.s.PGSQL.15432'.length))
  await mkdir(fit, { mode: 0o700 })
  if (process.platform !== 'linux') return
  const placed = await placeSocket({ ...wish, path: fit, platform: 'linux' })
  expect(Buffer.byteLength(placed)).toBe(107)
  const listener = await listenOnUnixSocket(placed, (socket) => socket.end('here'))
  const client = createConnection(placed)
  expect(String((await once(client, 'data'))[0])).toBe('here')
  listener.stop()
  await waitUntil(async () => !(await isThere(placed)), 'the socket to go')
})

it('DB6, G18: plain TCP has a socket too, named after its resource or as the person says', async () => {
  const gateway = await open({ resource: 'cache' })
  expect(gateway.socket).toBe(join(dir, 'cache.sock'))
  expect(gateway.socketUrl).toBe(`unix:${gateway.socket ?? ''}`)
  const client = createConnection(gateway.socket!)
  client.write('ping')
  expect(String((await once(client, 'data'))[0])).toBe('ping')
  client.destroy()
  // A name without a port in it stays where it is when the port moves.
  const moved = await host.core.call('gateway.update', { gateway: gateway.id, port: await freePort() })
  expect(moved.socket).toBe(gateway.socket)
  expect(await isThere(gateway.socket!)).toBe(true)
  await host.core.call('gateway.close', { gateway: 'cache' })
  const named = await open({ resource: 'cache', socket: join(dir, 'mine') })
  expect(named.socket).toBe(join(dir, 'mine'))
  expect(dirname(named.socket!)).toBe(dir)
})
