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
  // stty asks the same terminal after the program was ended. The program says its own pid: how many shells stand above it
  // depends on the machine's shell.
  const program = `process.on('SIGTERM', () => process.exit(1)); console.log('pid ' + process.pid + '.'); import('${entry}')`
  const pty = runInPty(['sh', '-c', `${process.execPath} -e "${program}"; stty -a`])
  await pty.sees('Password: ')
  process.kill(Number(/pid (\d+)\./.exec(pty.shown())?.[1]), 'SIGTERM')
  await pty.sees(/[^-]echo /)
  await pty.exited
})
