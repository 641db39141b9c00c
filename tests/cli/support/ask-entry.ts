// A program that asks two questions in its terminal and prints the answers as JSON. Run by the tests in a pseudo-terminal.
// With `withdraw` as its argument the first question is withdrawn at the first key.
import { askInTerminal } from '../../../cli/ask-secret.ts'

const { stdin, stdout, stderr } = process
const terminal = { stdin, stdout, stderr, canAsk: true }
const withdrawal = new AbortController()
const onFirstKey = () => {
  stdout.write('[touched]')
  if (process.argv[2] === 'withdraw') withdrawal.abort(new Error('answered elsewhere'))
}
const answers: string[] = []
try {
  answers.push(
    await askInTerminal(terminal, { prompt: 'Password: ', hidden: true, signal: withdrawal.signal, onFirstKey }),
  )
  answers.push(await askInTerminal(terminal, { prompt: 'Code: ', hidden: false, signal: withdrawal.signal }))
  stdout.write(`answers ${JSON.stringify(answers)}\n`)
} catch (error) {
  stdout.write(`failed: ${error instanceof Error ? error.message : 'unknown'}\n`)
}
stdout.write(`raw ${String(stdin.isRaw)}\n`)
