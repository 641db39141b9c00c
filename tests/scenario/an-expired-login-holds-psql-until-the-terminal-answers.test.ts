// The scenario that must always be beautiful: psql waits, one prompt in the terminal, one login, psql prints its rows.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  ALICE,
  keepPsql,
  psql,
  startCluster,
  type TestCluster,
  logInBriefly,
  untilExpired,
} from '../support/cluster.ts'
import type { Kept } from '../support/run.ts'

let cluster: TestCluster
beforeAll(async () => {
  cluster = await startCluster({ routeTtl: '3s' })
})
afterAll(async () => {
  await cluster.close()
})

const URL_PATTERN = /postgresql:\/\/[^\s"']+/

/** Opens a gateway in a pseudo-terminal; its URL and the terminal. */
async function openInTerminal(home: string, args: readonly string[] = []): Promise<{ terminal: Kept; url: string }> {
  const terminal = cluster.terminal(home, ['gateway', 'open', 'orders', ...args])
  const [url] = await terminal.waitFor(URL_PATTERN)
  return { terminal, url }
}

/** A psql that is held, and the terminal that asks for the password; `mark`: how much it has printed. */
async function heldAtThePrompt() {
  const home = await cluster.newHome()
  await cluster.login(home)
  const { terminal, url } = await openInTerminal(home)
  await logInBriefly(cluster, home)
  await untilExpired(cluster, home)
  const held = keepPsql(url, ['-c', 'select 7'])
  await terminal.waitFor(/password[^\n]*:/i)
  return { home, terminal, url, held, mark: terminal.printed }
}

describe('the scenario', () => {
  it('G4 G13: a route certificate that ran out alone is renewed without anyone noticing', async () => {
    const home = await cluster.newHome()
    await cluster.login(home)
    const { terminal, url } = await openInTerminal(home)
    const printed = terminal.printed
    for (let round = 0; round < 3; round++) {
      const rows = await psql(url, ['-c', 'select count(*) from orders'])
      expect(rows).toMatchObject({ code: 0, stdout: '100\n', stderr: '' })
      await new Promise((resolve) => setTimeout(resolve, 3200))
    }
    expect(terminal.output.slice(printed)).not.toMatch(/password/i)
    await terminal.stop('SIGINT')
  })

  it('G2 G5 G6 G11 G13: the login expired, every psql waits, one prompt, one login, all print their rows', async () => {
    const home = await cluster.newHome()
    await cluster.login(home, ALICE, {})
    const { terminal, url } = await openInTerminal(home)

    const connected = keepPsql(url)
    connected.write("select 'before the expiry';\n")
    await connected.waitFor(/before the expiry/)
    await logInBriefly(cluster, home)
    await untilExpired(cluster, home)

    const first = keepPsql(url, ['-c', 'select total from orders where id = 2'])
    const prompt = await terminal.waitFor(/[\s\S]*password[^\n]*:/i)
    expect(prompt[0]).toMatch(/orders/)
    expect(prompt[0]).toMatch(/reader/)
    expect(prompt[0]).toMatch(/psql/)
    expect(prompt[0]).toMatch(/expired/i)
    const second = keepPsql(url, ['-c', 'select count(*) from orders'])
    connected.write("select 'while they wait';\n")
    await connected.waitFor(/while they wait/)
    expect([first.isRunning, second.isRunning]).toEqual([true, true])
    expect(terminal.output).not.toContain(ALICE.password)

    terminal.write(`${ALICE.password}\r`)
    expect(await first.ended).toMatchObject({ code: 0, stdout: '3.00\n', stderr: '' })
    expect(await second.ended).toMatchObject({ code: 0, stdout: '100\n', stderr: '' })
    expect(terminal.output).not.toContain(ALICE.password)

    connected.write("select 'after the login';\n\\q\n")
    expect(await connected.ended).toMatchObject({
      code: 0,
      stderr: '',
      stdout: 'before the expiry\nwhile they wait\nafter the login\n',
    })
    await terminal.stop('SIGINT')
  })

  it("G5: another terminal's `postern login` lets the held psql through and withdraws the prompt", async () => {
    const { home, terminal, held, mark } = await heldAtThePrompt()
    await cluster.login(home)
    expect(await held.ended).toMatchObject({ code: 0, stdout: '7\n' })
    await terminal.waitFor(/\S/, { from: mark })
    await terminal.stop('SIGINT')
  })

  it('G8: a psql that gives up while it is held withdraws the prompt that nobody touched', async () => {
    const { terminal, url, held, mark } = await heldAtThePrompt()
    await held.stop('SIGKILL')
    await terminal.waitFor(/\S/, { from: mark })
    // The next one asks again.
    const again = keepPsql(url, ['-c', 'select 8'])
    await terminal.waitFor(/password[^\n]*:/i, { from: mark })
    terminal.write(`${ALICE.password}\r`)
    expect(await again.ended).toMatchObject({ code: 0, stdout: '8\n' })
    await terminal.stop('SIGINT')
  })
})
