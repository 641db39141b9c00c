// C6 and C8 as a person meets them: a clock that is minutes or days off, a server that is away, a CA that nobody knows.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ALICE, keepPsql, psql, startCluster, type TestCluster } from '../support/cluster.ts'
import { clocksIn } from '../support/clocks-in.ts'
import { freePort } from '../support/free-port.ts'

const HOUR_MS = 3_600_000

let cluster: TestCluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(async () => {
  await cluster.close()
})

/** libfaketime for the command and the core that it starts; timers stay on the true monotonic clock. */
const shifted = (offset: string): Record<string, string> => ({
  LD_PRELOAD: '/usr/$LIB/faketime/libfaketimeMT.so.1',
  FAKETIME: offset,
  FAKETIME_DONT_FAKE_MONOTONIC: '1',
  DONT_FAKE_MONOTONIC: '1',
})

describe('clocks', () => {
  it.each(['+10m', '-10m'])('C6: a clock that is %s off breaks nothing', async (offset) => {
    const home = await cluster.newHome()
    const env = shifted(offset)
    await cluster.login(home, ALICE, { env })
    const gateway = await cluster.open(home, 'orders', [], { env })
    expect(await psql(gateway.url, ['-c', 'select 1'])).toMatchObject({ code: 0, stdout: '1\n' })
    const status = JSON.parse((await cluster.postern(home, ['status', '--json'], { env })).stdout) as {
      profiles: { state: string; remainingMs: number; clockOffsetMs: number }[]
    }
    expect(status.profiles[0]).toMatchObject({ state: 'ready' })
    expect(Math.abs(status.profiles[0]!.clockOffsetMs)).toBeGreaterThan(9 * 60_000)
    expect(status.profiles[0]!.remainingMs).toBeLessThanOrEqual(8 * HOUR_MS + 2000)
    expect(status.profiles[0]!.remainingMs).toBeGreaterThan(7.9 * HOUR_MS)
    await gateway.process.stop()
    await cluster.postern(home, ['core', 'stop'], { env })
  })

  it.each(['+3d', '-3d'])('C6: a clock that is %s off refuses the login and names both clocks', async (offset) => {
    const home = await cluster.newHome()
    const refused = await cluster.postern(
      home,
      ['login', cluster.address, '--user', ALICE.name, '--ca', cluster.caFile, '--password-stdin'],
      {
        input: `${ALICE.password}\n`,
        env: shifted(offset),
      },
    )
    expect(refused.code).toBe(1)
    const [ownMs = 0, serverMs = 0] = clocksIn(refused.stderr)
    expect(Math.abs(serverMs - Date.now())).toBeLessThan(HOUR_MS)
    expect(Math.round((ownMs - serverMs) / HOUR_MS)).toBe(offset === '+3d' ? 72 : -72)
    await cluster.postern(home, ['core', 'stop'], { env: shifted(offset) })
  })
})

describe('servers', () => {
  it('C8: an unknown CA is refused without a terminal, naming its fingerprint and the flag', async () => {
    const home = await cluster.newHome()
    const refused = await cluster.postern(home, ['login', cluster.address, '--user', ALICE.name, '--password-stdin'], {
      input: `${ALICE.password}\n`,
    })
    expect(refused.code).toBe(4)
    expect(refused.stderr).toContain(cluster.fingerprint)
    expect(refused.stderr).toContain('--ca-pin')
    const wrongPin = await cluster.postern(
      home,
      ['login', cluster.address, '--user', ALICE.name, '--ca-pin', `sha256:${'0'.repeat(64)}`, '--password-stdin'],
      { input: `${ALICE.password}\n` },
    )
    expect(wrongPin.code).not.toBe(0)
    expect(wrongPin.stderr).toContain(cluster.fingerprint)
    const pinned = await cluster.postern(
      home,
      ['login', cluster.address, '--user', ALICE.name, '--ca-pin', cluster.fingerprint, '--password-stdin'],
      { input: `${ALICE.password}\n` },
    )
    expect(pinned.code).toBe(0)
  })

  it('C8: on a terminal the fingerprint is shown to be compared before any password is asked', async () => {
    const home = await cluster.newHome()
    const terminal = cluster.terminal(home, ['login', cluster.address, '--user', ALICE.name])
    await terminal.waitFor(/sha256:[0-9a-f]{64}[\s\S]*yes/)
    expect(terminal.output).toContain(cluster.fingerprint)
    expect(terminal.output).not.toMatch(/password/i)
    terminal.write('yes\r')
    await terminal.waitFor(/password[^\n]*:/i)
    terminal.write(`${ALICE.password}\r`)
    expect((await terminal.ended).code).toBe(0)
  })

  it('E1: a server that cannot be reached is named with its address, in the terminal and to psql', async () => {
    const home = await cluster.newHome()
    const port = await freePort()
    const unreachable = await cluster.postern(
      home,
      ['login', `127.0.0.1:${port}`, '--user', 'alice', '--ca', cluster.caFile, '--password-stdin'],
      {
        input: 'x\n',
      },
    )
    expect(unreachable.code).toBe(1)
    expect(unreachable.stderr).toContain(`127.0.0.1:${port}`)

    await cluster.login(home)
    const gateway = await cluster.open(home, 'orders')
    expect(await psql(gateway.url, ['-c', 'select 1'])).toMatchObject({ code: 0 })
    await cluster.server().stop()
    const refused = await psql(gateway.url, ['-c', 'select 1'])
    expect(refused.code).toBe(2)
    expect(refused.stderr).toMatch(/FATAL/)
    expect(refused.stderr).toContain(cluster.address)
    await cluster.startServer()
    expect(await psql(gateway.url, ['-c', 'select 1'])).toMatchObject({ code: 0 })
    await gateway.process.stop()
  })

  it('S9: a server killed with SIGKILL tells clients nothing false, and ends what it left over as restart', async () => {
    const home = await cluster.newHome()
    await cluster.login(home)
    const gateway = await cluster.open(home, 'orders')
    const connected = keepPsql(gateway.url)
    connected.write('select 1;\n')
    await connected.waitFor(/1/)
    await cluster.server().stop('SIGKILL')
    connected.write('select 2;\n')
    await connected.waitFor(/closed|terminat|lost/i)
    await connected.stop()
    await cluster.startServer()
    expect(await psql(gateway.url, ['-c', 'select 3'])).toMatchObject({ code: 0, stdout: '3\n' })
    const ends = (await cluster.audit(['--event', 'session.end'])) as { detail: { reason: string } }[]
    expect(ends.filter((event) => event.detail.reason === 'restart').length).toBeGreaterThan(0)
    await gateway.process.stop()
  })
})
