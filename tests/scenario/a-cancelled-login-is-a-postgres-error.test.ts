// Cancel instead: Ctrl-C at the prompt, or three wrong passwords; psql is told in its own protocol, the gateway stays open.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keepPsql, psql, startCluster, type TestCluster, logInBriefly, untilExpired } from '../support/cluster.ts'
import { until, type Kept } from '../support/run.ts'

let cluster: TestCluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(async () => {
  await cluster.close()
})

async function expiredGateway(): Promise<{ home: string; terminal: Kept; url: string }> {
  const home = await cluster.newHome()
  await cluster.login(home)
  const terminal = cluster.terminal(home, ['gateway', 'open', 'orders'])
  const [url] = await terminal.waitFor(/postgresql:\/\/[^\s"']+/)
  await logInBriefly(cluster, home)
  await untilExpired(cluster, home)
  return { home, terminal, url }
}

const SAYS_WHERE_TO_LOG_IN = /FATAL: .*session.*expired[\s\S]*postern login/i

describe('a cancelled login', () => {
  it('G7: Ctrl-C at the prompt answers every held psql with 28000, keeps the gateway, and the next ones get it at once', async () => {
    const { home, terminal, url } = await expiredGateway()
    const held = [keepPsql(url, ['-c', 'select 1']), keepPsql(url, ['-c', 'select 2'])]
    await terminal.waitFor(/password[^\n]*:/i)
    await until(async () => {
      const list = await cluster.postern(home, ['gateway', 'ls', '--json'])
      return list.stdout.includes('"waiting":2')
    }, 'both wait')
    terminal.write('\x03')
    for (const one of held) {
      const ended = await one.ended
      expect(ended.code).toBe(2)
      expect(ended.stderr).toMatch(SAYS_WHERE_TO_LOG_IN)
    }
    const startedAt = Date.now()
    const next = await psql(url, ['-c', '\\set VERBOSITY verbose', '-c', 'select 3'])
    expect(next.stderr).toMatch(SAYS_WHERE_TO_LOG_IN)
    // Else it would be held for minutes.
    expect(Date.now() - startedAt).toBeLessThan(20_000)
    expect(terminal.isRunning).toBe(true)
    // Any login of the profile lifts the cool-down (G7) and the gateway, still open on its port, works.
    await cluster.login(home)
    expect(await psql(url, ['-c', 'select 4'])).toMatchObject({ code: 0, stdout: '4\n' })
    await terminal.stop('SIGINT')
  })

  it('G7: three wrong passwords give up the same way and trip no lock-out', async () => {
    const { home, terminal, url } = await expiredGateway()
    const held = keepPsql(url, ['-c', 'select 1'])
    let mark = 0
    for (let attempt = 0; attempt < 3; attempt++) {
      await terminal.waitFor(/password[^\n]*:/i, { from: mark })
      mark = terminal.printed
      terminal.write('wrong password\r')
      await terminal.waitFor(/wrong|incorrect|not right|password/i, { from: mark })
    }
    const ended = await held.ended
    expect(ended.code).toBe(2)
    expect(ended.stderr).toMatch(SAYS_WHERE_TO_LOG_IN)
    expect(terminal.isRunning).toBe(true)
    await cluster.login(home)
    expect(await psql(url, ['-c', 'select 4'])).toMatchObject({ code: 0, stdout: '4\n' })
    await terminal.stop('SIGINT')
  })

  it('G9: with nobody to ask, psql is held, a JSON line says so, and any `postern login` answers it', async () => {
    const home = await cluster.newHome()
    await cluster.login(home)
    const gateway = await cluster.open(home, 'orders')
    await logInBriefly(cluster, home)
    await untilExpired(cluster, home)
    const held = keepPsql(gateway.url, ['-c', 'select 5'])
    await gateway.process.waitFor(/"event":"login_needed"/)
    expect(held.isRunning).toBe(true)
    await cluster.login(home)
    expect(await held.ended).toMatchObject({ code: 0, stdout: '5\n' })
    expect((await gateway.process.stop()).code).toBe(0)
  })
})
