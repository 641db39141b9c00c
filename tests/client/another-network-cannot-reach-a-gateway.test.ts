// Containers and other network namespaces (G18): a gateway listens on 127.0.0.1 of its own network and nowhere else, so that a
// guest with a network of its own does not even reach it.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, readlink } from 'node:fs/promises'
import { afterEach, beforeEach, expect, it, type TestContext } from 'vitest'
import type { GatewayView } from '../../shared/rpc.ts'
import { psql, TestCore, waitUntil, type TestHost } from '../support/client-core.ts'
import { run } from '../support/run.ts'

let test: TestCore
let host: TestHost
let gateway: GatewayView
/** Keeps a network namespace alive; its end is the namespace's. */
let guest: ChildProcess | undefined

beforeEach(async () => {
  test = await TestCore.start()
  host = await test.attach()
  await test.login(host)
  gateway = await test.open(host)
})
afterEach(async () => {
  if (guest && guest.exitCode === null && guest.signalCode === null) {
    const ended = once(guest, 'exit')
    guest.kill('SIGKILL')
    await ended
  }
  guest = undefined
  await test.close()
})

/** A process in a network of its own; its pid. Skips where that cannot be made. */
async function startGuest(context: TestContext): Promise<number> {
  if (process.platform !== 'linux') context.skip('network namespaces are Linux’s')
  const own = await readlink('/proc/self/ns/net')
  guest = spawn('unshare', ['--net', 'sleep', '300'], { stdio: 'ignore' })
  const { pid } = guest
  let problem = ''
  guest.once('error', (error) => (problem = error.message))
  guest.once('exit', (code) => (problem ||= `unshare ended with ${String(code)}`))
  const isApart = async () => {
    if (problem !== '' || pid === undefined) return true
    return (await readlink(`/proc/${pid}/ns/net`).catch(() => own)) !== own
  }
  await waitUntil(isApart, 'a network namespace')
  if (problem !== '' || pid === undefined)
    context.skip(`no network namespace can be made (${problem}): root with CAP_SYS_ADMIN, as in a VM, would run it`)
  return pid
}

const inside = (pid: number, command: string, ...args: string[]) =>
  run('nsenter', ['--target', String(pid), '--net', command, ...args])
const psqlInside = (pid: number, url: string) =>
  inside(pid, 'psql', '-X', '-w', '-c', 'select 1', `${url}&connect_timeout=5`)
const isUntouched = (): void => {
  expect(test.server.seen.dials).toHaveLength(0)
  expect(host.all('login.requested')).toHaveLength(0)
  expect(test.log.some((line) => line.includes('"connection"'))).toBe(false)
}

it('G18: from a network namespace of its own, 127.0.0.1 is another machine', async (context) => {
  const pid = await startGuest(context)
  await inside(pid, 'ip', 'link', 'set', 'lo', 'up')
  test.expire()
  const result = await psqlInside(pid, gateway.url)
  expect(result.code).toBe(2)
  expect(result.stderr).toContain('Connection refused')
  isUntouched()
})

it('G18: through a veth pair, as containers have it, the address of the host has no gateway', async (context) => {
  const pid = await startGuest(context)
  const name = `pst${process.pid % 100_000}`
  const net = '198.18.77'
  const made = await run('ip', ['link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(pid)])
  if (made.code !== 0) context.skip(`no veth pair can be made (${made.stderr.trim()}): a kernel with veth would run it`)
  try {
    await run('ip', ['address', 'add', `${net}.1/30`, 'dev', name])
    await run('ip', ['link', 'set', name, 'up'])
    await inside(pid, 'ip', 'address', 'add', `${net}.2/30`, 'dev', 'eth0')
    await inside(pid, 'ip', 'link', 'set', 'eth0', 'up')
    await inside(pid, 'ip', 'route', 'add', 'default', 'via', `${net}.1`)
    const result = await psqlInside(pid, gateway.url.replace('127.0.0.1', `${net}.1`))
    expect(result.code).toBe(2)
    expect(result.stderr).toMatch(/Connection refused|timeout expired|unreachable/)
    isUntouched()
    // The gateway itself is well.
    expect((await psql(gateway)).code).toBe(0)
  } finally {
    await run('ip', ['link', 'delete', name])
  }
})

it('G18: its port listens on 127.0.0.1 and on no other address', async (context) => {
  if (process.platform !== 'linux') context.skip('/proc/net/tcp is Linux’s')
  const hexPort = gateway.port.toString(16).toUpperCase().padStart(4, '0')
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')))
  const LISTEN = '0A'
  const listening = tables
    .join('\n')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => state === LISTEN && local?.endsWith(`:${hexPort}`))
    .map(([, local]) => local)
  expect(listening).toEqual([`0100007F:${hexPort}`])
})
