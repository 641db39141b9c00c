// Runs a program in a real pseudo-terminal (util-linux `script`) and types into it. Used by the tests of prompts.
import { spawn, type ChildProcess } from 'node:child_process'
import { PATIENCE } from '../../support/patience.ts'

const TIMEOUT_MS = PATIENCE * 20_000

export type Pty = {
  /** Everything that the terminal showed so far. */
  shown(): string
  type(keys: string): void
  /** Resolves once the terminal showed it (after `from` characters). */
  sees(text: string | RegExp): Promise<void>
  /** Exit code of the program. */
  exited: Promise<number>
  child: ChildProcess
}

const quote = (word: string): string => `'${word.replaceAll("'", String.raw`'\''`)}'`

export function runInPty(command: string[], env: NodeJS.ProcessEnv = process.env): Pty {
  const child = spawn('script', ['-qfec', command.map(quote).join(' '), '/dev/null'], {
    env: { ...env, TERM: 'xterm' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let text = ''
  const watchers = new Set<() => void>()
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    for (const watch of watchers) watch()
  })
  const exited = new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? -1)))
  let seenUpTo = 0
  return {
    child,
    exited,
    shown: () => text,
    type: (keys) => void child.stdin.write(keys),
    sees: (wanted) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          watchers.delete(watch)
          reject(new Error(`the terminal never showed ${String(wanted)}, but: ${JSON.stringify(text)}`))
        }, TIMEOUT_MS)
        const watch = () => {
          const rest = text.slice(seenUpTo)
          const match = typeof wanted === 'string' ? rest.indexOf(wanted) : (wanted.exec(rest)?.index ?? -1)
          if (match < 0) return
          seenUpTo += match + 1
          clearTimeout(timer)
          watchers.delete(watch)
          resolve()
        }
        watchers.add(watch)
        watch()
      }),
  }
}
