import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { afterAll, expect, it } from 'vitest'
import { buildProgram } from '../../cli/program.ts'
import { formatTable } from '../../cli/table.ts'
import { makeContext } from './support/fake-core.ts'

const launcher = fileURLToPath(new URL('../../bin/postern', import.meta.url))
const directory = mkdtempSync(path.join(tmpdir(), 'postern-cli-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const env = { ...process.env, POSTERN_HOME: path.join(directory, 'home') }
const postern = (...args: string[]) => spawnSync(launcher, args, { encoding: 'utf8', env, timeout: 30_000 })

function leaves(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves)
}

it('E3: every command has a description, and every one that is there has an example and the exit codes', () => {
  for (const command of leaves(buildProgram(makeContext([]), '0'))) {
    expect(command.description(), command.name()).not.toBe('')
    if (/not there yet/i.test(command.description())) continue
    let help = ''
    command.configureOutput({ writeOut: (text) => (help += text) })
    command.outputHelp()
    expect(help, command.name()).toMatch(/Examples?:\n {2}postern /)
    expect(help, command.name()).toContain('Exit codes: 0 done, 1 failed, 2 usage, 3 needs login, 4 refused.')
  }
})

it('E3: exit codes are 0 for help, 2 for usage, 1 for what is not there yet; errors go to stderr, as JSON on request', () => {
  expect(postern('--help')).toMatchObject({ status: 0, stderr: '' })
  expect(postern('gateway', 'opne')).toMatchObject({ status: 2, stdout: '' })
  expect(postern('gateway')).toMatchObject({ status: 2, stdout: '' })
  expect(postern('ssh', 'root@web1', 'ls', '-l')).toMatchObject({ status: 1, stdout: '' })
  const failed = postern('resources', 'ls', '--json')
  expect(failed.stdout).toBe('')
  expect(JSON.parse(failed.stderr)).toMatchObject({ error: { code: 'profile_unknown' } })
})

it('E3: the launcher works through a symlink', () => {
  const link = path.join(directory, 'postern')
  symlinkSync(launcher, link)
  expect(spawnSync(link, ['--version'], { encoding: 'utf8', env }).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
})

it('E3: the launcher runs on Node 20 and finds Node 24 by itself', (context) => {
  const old = ['/usr/bin/node', '/usr/local/bin/node'].find((file) =>
    /^v2[0-3]\./.test(spawnSync(file, ['--version'], { encoding: 'utf8' }).stdout),
  )
  if (old === undefined) return context.skip('this machine has no Node between 20 and 23 beside the checkout')
  const run = spawnSync(old, [launcher, '--version'], { encoding: 'utf8', env })
  expect(run).toMatchObject({ status: 0, stderr: '' })
})

it('G17: a launcher that is killed takes its command along', async (context) => {
  const old = ['/usr/bin/node', '/usr/local/bin/node'].find((file) =>
    /^v2[0-3]\./.test(spawnSync(file, ['--version'], { encoding: 'utf8' }).stdout),
  )
  if (old === undefined) return context.skip('this machine has no Node between 20 and 23 beside the checkout')
  // A prompt that nobody answers keeps the command alive.
  const child = spawn('script', ['-qfec', `exec ${old} ${launcher} account password`, '/dev/null'], { env })
  await new Promise<void>((resolve) => {
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      if (text.includes('Current password')) resolve()
    })
  })
  const pids = (parent: number) =>
    spawnSync('pgrep', ['-P', String(parent)], { encoding: 'utf8' })
      .stdout.trim()
      .split('\n')
      .filter((text) => text !== '')
      .map(Number)
  const [launcherPid = 0] = pids(child.pid ?? 0)
  const [commandPid = 0] = pids(launcherPid)
  expect(commandPid).toBeGreaterThan(0)
  process.kill(launcherPid, 'SIGKILL')
  await expect.poll(() => spawnSync('kill', ['-0', String(commandPid)]).status, { timeout: 10_000 }).toBe(1)
  child.stdin.end()
})

it('E1: a table is aligned and shows control characters of its data as what they are not', () => {
  const columns = [{ title: 'NAME' }, { title: 'ROWS', align: 'right' as const }]
  expect(
    formatTable(columns, [
      ['orders', '12'],
      ['e\u001b[2Jvil', '7'],
    ]),
  ).toBe('NAME      ROWS\norders      12\ne\ufffd[2Jvil     7\n')
})
