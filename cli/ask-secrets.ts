// Several secrets for one command: asked one after the other in the terminal, or read from stdin, one a line. Used by the commands
// that administer.
import { PosternError } from '../shared/errors.ts'
import { askInTerminal } from './ask-secret.ts'
import type { Context } from './context.ts'
import { readLines } from './read-stdin.ts'

/** @throws PosternError `bad_request` if stdin has too few of them, or nobody can be asked; `login_cancelled` for Ctrl-C */
export async function askSecrets(context: Context, prompts: string[], fromStdin: boolean): Promise<string[]> {
  if (prompts.length === 0) return []
  if (fromStdin) {
    const lines = await readLines(context.terminal.stdin)
    if (lines.length < prompts.length || lines.some((line) => line === ''))
      throw new PosternError('bad_request', `--password-stdin wants ${prompts.length} line(s), one password each.`)
    return lines.slice(0, prompts.length)
  }
  if (!context.terminal.canAsk)
    throw new PosternError('bad_request', 'There is no terminal to ask for a password: pipe it in, --password-stdin.')
  const answers: string[] = []
  for (const prompt of prompts)
    answers.push(await askInTerminal(context.terminal, { prompt, hidden: true, signal: context.interrupt }))
  return answers
}
