import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { runInPty } from './support/pty.ts'

const entry = fileURLToPath(new URL('./support/ask-entry.ts', import.meta.url))
const start = (...args: string[]) => runInPty([process.execPath, entry, ...args])

it('G5: a password typed in the terminal is read and never shown', async () => {
  const pty = start()
  await pty.sees('Password: ')
  pty.type('secréx\x7ft\r')
  await pty.sees('Code: ')
  pty.type('123456\r')
  await pty.sees('answers ["secrét","123456"]')
  await pty.sees('raw false')
  expect(await pty.exited).toBe(0)
  expect(pty.shown().split('answers')[0]).not.toContain('secr')
})

it('G5: two answers pasted at once answer two questions, arrow keys and paste brackets add nothing', async () => {
  const pty = start()
  await pty.sees('Password: ')
  pty.type('\x1b[200~hidden\x1b[201~\x1b[A\r\n654321\r')
  await pty.sees('answers ["hidden","654321"]')
  expect(await pty.exited).toBe(0)
})

it('G7: Ctrl-C at the prompt cancels the question and gives the terminal back', async () => {
  const pty = start()
  await pty.sees('Password: ')
  pty.type('half\x03')
  await pty.sees('failed: Cancelled at the prompt.')
  await pty.sees('raw false')
  expect(await pty.exited).toBe(0)
})

it('G8: the first key is told once, and a question can be withdrawn from outside', async () => {
  const pty = start('withdraw')
  await pty.sees('Password: ')
  pty.type('a')
  await pty.sees('[touched]')
  await pty.sees('failed: answered elsewhere')
  await pty.sees('raw false')
  expect(pty.shown().split('[touched]')).toHaveLength(2)
  expect(await pty.exited).toBe(0)
})

it('G5: SIGTERM at a hidden prompt leaves the terminal echoing again', async () => {
  // stty asks the same terminal after the program was ended.
  const pty = runInPty([
    'sh',
    '-c',
    `${process.execPath} -e "process.on('SIGTERM', () => process.exit(1)); import('${entry}')"; stty -a`,
  ])
  await pty.sees('Password: ')
  const found = spawnSync('pgrep', ['-f', '-P', String(childOf(pty.child.pid)), 'process.on'], { encoding: 'utf8' })
  process.kill(Number(found.stdout.trim()), 'SIGTERM')
  await pty.sees(/[^-]echo /)
  await pty.exited
})

/** `script` runs `sh -c`, whose child is the program. */
function childOf(pid: number | undefined): number {
  const children = spawnSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' })
  return Number(children.stdout.trim().split('\n')[0])
}
