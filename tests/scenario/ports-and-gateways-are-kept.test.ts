// G15, G16, G17: a gateway's port is chosen once, a taken one is a named conflict, opening twice gives the one that is open,
// detached gateways come back, and homes may lie at the end of very long paths.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { readdir } from 'node:fs/promises'
import net from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keepPsql, psql, startCluster, type TestCluster, logInBriefly } from '../support/cluster.ts'
import { freePort } from '../support/free-port.ts'
import { until } from '../support/run.ts'

let cluster: TestCluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(async () => {
  await cluster.close()
})

const corePid = async (home: string): Promise<number> => {
  const status = await cluster.postern(home, ['status', '--json'])
  return (JSON.parse(status.stdout) as { core: { pid: number } }).core.pid
}

describe('gateways', () => {
  it('G15: the port is outside the ephemeral range, kept over close and restart, and a taken one is a named conflict', async () => {
    const home = await cluster.newHome()
    await cluster.login(home)
    const first = await cluster.open(home, 'orders')
    const [low = 0, high = 0] = (await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'))
      .split(/\s+/)
      .map(Number)
    expect(first.port < low || first.port > high).toBe(true)
    await first.process.stop('SIGINT')
    await cluster.postern(home, ['core', 'stop'])

    const squatter = net.createServer().listen(first.port, '127.0.0.1')
    await once(squatter, 'listening')
    const conflict = await cluster.postern(home, ['gateway', 'open', 'orders', '--json'])
    expect(conflict.code).toBe(1)
    expect(conflict.stderr).toContain(String(first.port))
    expect(conflict.stderr).toMatch(/--port/)
    const picked = await freePort()
    const other = await cluster.open(home, 'orders', ['--port', String(picked)])
    expect(other.port).toBe(picked)
    await other.process.stop()
    squatter.close()
    const again = await cluster.open(home, 'orders')
    expect(again.port).toBe(picked)
    await again.process.stop()
  })

  it('G16: opening what is open gives the same gateway without owning it', async () => {
    const home = await cluster.newHome()
    await cluster.login(home)
    const owner = await cluster.open(home, 'orders')
    const guest = await cluster.open(home, 'orders', ['--database', 'template1'])
    expect([guest.id, guest.port]).toEqual([owner.id, owner.port])
    expect(guest.url).toContain('/template1?')
    const another = await cluster.open(home, 'orders', ['--account', 'writer'])
    expect(another.id).not.toBe(owner.id)
    await guest.process.stop('SIGINT')
    expect(await psql(owner.url, ['-c', 'select 1'])).toMatchObject({ code: 0 })
    await owner.process.stop('SIGINT')
    const refused = await psql(owner.url, ['-c', 'select 1'])
    expect(refused.code).toBe(2)
    await another.process.stop()
  })

  it('G17: a detached gateway comes back on its port after the core was killed; an attached terminal brings its own back', async () => {
    const home = await cluster.newHome()
    await cluster.login(home)
    const detached = await cluster.postern(home, ['gateway', 'open', 'orders', '--detach', '--json'])
    expect(detached.code).toBe(0)
    const { url } = JSON.parse(detached.stdout) as { url: string }
    const attached = await cluster.open(home, 'orders', ['--account', 'writer'])
    const connected = keepPsql(attached.url)
    connected.write('select 1;\n')
    await connected.waitFor(/1/)

    const pid = await corePid(home)
    process.kill(pid, 'SIGKILL')
    connected.write('select 2;\n')
    await connected.waitFor(/closed the connection|terminat|lost/i)
    await connected.stop()
    await until(
      async () => (await psql(attached.url, ['-c', 'select 1'])).code === 0,
      'the terminal brings its gateway back on its port',
      20_000,
    )
    expect(await psql(url, ['-c', 'select 1'])).toMatchObject({ code: 0, stdout: '1\n' })
    expect(await corePid(home)).not.toBe(pid)
    expect((await attached.process.stop()).code).toBe(0)
    expect((await cluster.postern(home, ['gateway', 'close', 'orders'])).code).toBe(0)
  })

  it('G17: a very long POSTERN_HOME works', async () => {
    const home = join(
      await cluster.newHome(),
      ...Array.from({ length: 6 }, () => 'a-folder-with-a-rather-long-name-0123456789'),
    )
    await mkdir(home, { recursive: true, mode: 0o700 })
    await cluster.login(home)
    const gateway = await cluster.open(home, 'orders')
    expect(await psql(gateway.url, ['-c', 'select 1'])).toMatchObject({ code: 0 })
    await gateway.process.stop()
    await cluster.postern(home, ['core', 'stop'])
  })

  it('G17: a corrupt profile file is kept aside and told, never overwritten', async () => {
    const home = await cluster.newHome()
    await cluster.login(home)
    await cluster.postern(home, ['core', 'stop'])
    const files = (await readdir(home, { recursive: true })).filter((name) => /profile.*\.json$/.test(name))
    expect(files.length).toBeGreaterThan(0)
    for (const file of files) await writeFile(join(home, file), '{ "half of a prof', { mode: 0o600 })
    const status = await cluster.postern(home, ['status'])
    expect(status.stdout + status.stderr).toMatch(/aside|corrupt|damaged/i)
    const aside = (await readdir(home, { recursive: true })).filter((name) => name.includes('.corrupt-'))
    expect(await readFile(join(home, aside[0]!), 'utf8')).toBe('{ "half of a prof')
    await cluster.login(home)
    expect((await cluster.postern(home, ['resources', 'ls'])).code).toBe(0)
  })

  it('G19: closing a gateway ends its connections at once and its session as closed', async () => {
    const home = await cluster.newHome()
    await cluster.login(home)
    const gateway = await cluster.open(home, 'orders')
    const connected = keepPsql(gateway.url)
    connected.write('select 41 + 1;\n')
    await connected.waitFor(/42/)
    await gateway.process.stop('SIGINT')
    connected.write('select 1;\n')
    await connected.waitFor(/closed|terminat|lost/i)
    await connected.stop()
    await until(async () => {
      const ends = (await cluster.audit(['--event', 'session.end'])) as { detail: { reason: string } }[]
      return ends.some((event) => event.detail.reason === 'closed')
    }, 'the session ends as closed')
  })

  it('S1: a gateway that is closed after its login expired still ends its session as closed', async () => {
    const home = await cluster.newHome()
    await cluster.login(home)
    const gateway = await cluster.open(home, 'orders', ['--account', 'writer'])
    const connected = keepPsql(gateway.url)
    connected.write('select 41 + 1;\n')
    await connected.waitFor(/42/)
    await logInBriefly(cluster, home)
    await until(
      async () => (await cluster.postern(home, ['status', '--json'])).stdout.includes('"expired"'),
      'the login expires',
    )
    await gateway.process.stop('SIGINT')
    await connected.stop()
    type Event = { account: string; detail: { reason: string } }
    await until(async () => {
      const ends = (await cluster.audit(['--event', 'session.end'])) as Event[]
      return ends.some((event) => event.account === 'writer' && event.detail.reason === 'closed')
    }, 'the session ends as closed')
  })
})
