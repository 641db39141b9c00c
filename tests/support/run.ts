// Child processes in tests: run one to its end, keep one and wait for what it prints, drive one through a real pseudo-terminal.
// Every child is ended by its own pid.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { PATIENCE } from './patience.ts'

export type Finished = { code: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string }

export type RunOptions = {
  env?: Record<string, string | undefined>
  cwd?: string
  input?: string
  timeoutMs?: number
  uid?: number
  gid?: number
}

/** A child that is kept: its output so far, a wait for text, and its end. */
export class Kept {
  readonly child: ChildProcess
  readonly ended: Promise<Finished>
  stdout = ''
  stderr = ''
  /** Both, in the order in which they came. */
  output = ''
  private readonly name: string
  /** It has ended, and all that it printed has been read. */
  private isOver = false

  constructor(command: string, args: readonly string[], { env, cwd, uid, gid }: RunOptions = {}) {
    this.name = [command, ...args].join(' ').slice(0, 200)
    this.child = spawn(command, args, {
      stdio: 'pipe',
      ...(cwd === undefined ? {} : { cwd }),
      env: { ...process.env, ...env },
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
    })
    this.child.stdout?.on('data', (chunk: Buffer) => {
      this.stdout += chunk.toString()
      this.output += chunk.toString()
    })
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString()
      this.output += chunk.toString()
    })
    // A child that ended before it read its input is told by its exit code.
    this.child.stdin?.on('error', () => undefined)
    this.ended = once(this.child, 'close').then(([code, signal]) => {
      this.isOver = true
      return {
        code: code as number | null,
        signal: signal as NodeJS.Signals | null,
        stdout: this.stdout,
        stderr: this.stderr,
      }
    })
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }

  write(text: string): void {
    this.child.stdin?.write(text)
  }

  /** Waits until stdout + stderr from `from` on match; the match. Fails with all output at the deadline or the child's end. */
  async waitFor(
    pattern: RegExp,
    { timeoutMs = 20_000, from = 0 }: { timeoutMs?: number; from?: number } = {},
  ): Promise<RegExpMatchArray> {
    const deadline = Date.now() + PATIENCE * timeoutMs
    for (;;) {
      const text = this.output.slice(from)
      const match = pattern.exec(text)
      if (match) return match
      if (this.isOver || Date.now() > deadline) {
        const why = this.isOver
          ? `ended (${String(this.child.exitCode)}) before it printed ${String(pattern)}`
          : `did not print ${String(pattern)} within ${PATIENCE * timeoutMs} ms`
        throw new Error(`${this.name} ${why}\n--- stdout\n${this.stdout}\n--- stderr\n${this.stderr}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  /** How much it has printed: a mark for `waitFor({from})`. */
  get printed(): number {
    return this.output.length
  }

  /** Ends it: the signal, then SIGKILL after a while. Resolves when it is gone. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Finished> {
    if (this.isRunning) this.child.kill(signal)
    const timer = setTimeout(() => this.child.kill('SIGKILL'), PATIENCE * 10_000)
    try {
      return await this.ended
    } finally {
      clearTimeout(timer)
    }
  }
}

/** Runs a command to its end. Fails at the deadline (default 30 s, times PATIENCE). */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const kept = new Kept(command, args, options)
  kept.child.stdin?.end(options.input ?? '')
  const timeoutMs = PATIENCE * (options.timeoutMs ?? 30_000)
  const timer = setTimeout(() => kept.child.kill('SIGKILL'), timeoutMs)
  try {
    const finished = await kept.ended
    if (finished.signal === 'SIGKILL')
      throw new Error(
        `${command} ${args.join(' ')} did not end within ${timeoutMs} ms\n${finished.stdout}\n${finished.stderr}`,
      )
    return finished
  } finally {
    clearTimeout(timer)
  }
}

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`

/** A command behind a real pseudo-terminal (util-linux's `script`): what is written is typed, "\x03" is Ctrl-C. */
export const inTerminal = (command: string, args: readonly string[], options: RunOptions = {}): Kept =>
  new Kept('script', ['-qfec', `exec ${[command, ...args].map(quote).join(' ')}`, '/dev/null'], options)

/** Waits until a condition holds; polls it, so it should be cheap. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 10_000,
): Promise<void> {
  const deadline = Date.now() + PATIENCE * timeoutMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${PATIENCE * timeoutMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
