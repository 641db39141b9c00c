// Starts the core (the built client/main.ts) as a utility process: never the process that draws windows, so that traffic cannot
// make a window stutter. Called by the supervisor. Its log lines go to the home's core.log, as with every other launcher.
import { createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { utilityProcess } from 'electron'
import { z } from 'zod'
import type { CoreChild } from './core-supervisor.ts'
import type { KeyStore } from './key-protection.ts'

export type CoreLaunch = {
  /** The built entry of the core. */
  entry: string
  homeDir: string
  logFile: string
  appVersion: string
  /** Answers what the core asks of the system's key store. */
  keyStore: KeyStore
}

/** A line of pino at level fatal: why the core could not start. */
const FatalLine = z.object({ level: z.literal(60), err: z.object({ message: z.string() }) })

export function launchCore({ entry, homeDir, logFile, appVersion, keyStore }: CoreLaunch): CoreChild {
  const log = createWriteStream(logFile, { flags: 'a', mode: 0o600 })
  // A full disk must not end the app.
  log.on('error', () => undefined)
  const child = utilityProcess.fork(entry, ['--home', homeDir, '--app-version', appVersion], {
    serviceName: 'Postern core',
    stdio: 'pipe',
    cwd: homeDir,
  })
  let hasExited = false
  child.on('message', (message: unknown) => {
    // It waits with a deadline of its own; never rejects.
    void keyStore.answer(message).then((answer) => {
      if (answer && !hasExited) child.postMessage(answer)
    })
  })
  let problem: string | null = null
  if (child.stdout) {
    const lines = createInterface({ input: child.stdout })
    lines.on('line', (line) => {
      problem = fatalTextOf(line) ?? problem
      log.write(`${line}\n`)
    })
  }
  child.stderr?.on('data', (chunk: Buffer) => log.write(chunk))
  const exited = new Promise<{ code: number; problem: string | null }>((resolve) => {
    child.once('exit', (code) => {
      hasExited = true
      log.end()
      resolve({ code, problem })
    })
  })
  return { exited, kill: () => void child.kill() }
}

function fatalTextOf(line: string): string | undefined {
  // Nearly every line is none; parse only those that can be one.
  if (!line.includes('"level":60')) return undefined
  try {
    return FatalLine.parse(JSON.parse(line)).err.message
  } catch {
    return undefined
  }
}
