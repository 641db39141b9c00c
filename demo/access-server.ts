// The demo's access server: made once, and run as a child process that ends with us. Used by main.ts.
import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { PosternError } from '../shared/errors.ts'
import { loadConfig } from '../server/config.ts'
import { initialise, type Initialised } from '../server/init.ts'
import type { Places } from './places.ts'

const START_TIMEOUT_MS = 20_000
const STOP_TIMEOUT_MS = 10_000

export const CLUSTER = 'demo'

const ReadyLine = z.object({ cluster: z.string(), address: z.string(), fingerprint: z.string() })

export type RunningServer = z.infer<typeof ReadyLine> & {
  pid: number
  /** Resolves when it has ended, for whatever reason. */
  ended: Promise<void>
  stop(): Promise<void>
}

/** Writes the settings file, which a person may read to see how such a server is set up. */
export async function writeServerConfig(places: Places, port: number): Promise<void> {
  const settings = {
    cluster: CLUSTER,
    listen: `127.0.0.1:${port}`,
    dataDir: places.serverDir,
    log: { level: 'info', file: places.serverLog },
  }
  // JSON is YAML.
  await writeFile(places.serverConfig, `# Written by npm start.\n${JSON.stringify(settings, undefined, 2)}\n`, {
    mode: 0o600,
  })
}

/** `postern server init`; the setup code of its answer makes the first administrator. */
export const initialiseServer = (places: Places, now: () => Date): Promise<Initialised> =>
  initialise(loadConfig(places.serverConfig), { now })

/**
 * `postern server start`. The child's stdin is a pipe of ours: its end, by stop or by our death, stops the server.
 * @throws PosternError `misconfigured` with what the server said
 */
export async function startServer(
  places: Places,
  ttl: { user: string | undefined; route: string | undefined },
  signal: AbortSignal,
): Promise<RunningServer> {
  const entry = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', 'server', 'main.ts')
  const flags = [
    ...(ttl.user === undefined ? [] : ['--user-ttl', ttl.user]),
    ...(ttl.route === undefined ? [] : ['--route-ttl', ttl.route]),
  ]
  const child = spawn(
    process.execPath,
    [entry, 'start', '--config', places.serverConfig, '--json', '--stop-with-parent', ...flags],
    // A group of its own: Ctrl-C in the terminal reaches us, and we stop it in our own order.
    { stdio: ['pipe', 'pipe', 'pipe'], detached: true },
  )
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve())
    child.once('exit', () => resolve())
  })
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(-2000)))
  child.stdin.on('error', () => undefined)

  const stop = async () => {
    child.kill('SIGTERM')
    const late = await Promise.race([ended, delay(STOP_TIMEOUT_MS, 'late', { ref: false })])
    if (late === 'late') child.kill('SIGKILL')
    await ended
  }
  const firstLine = new Promise<string | undefined>((resolve) => {
    const lines = createInterface({ input: child.stdout })
    lines.once('line', resolve)
    lines.once('close', () => resolve(undefined))
  })
  try {
    const line = await Promise.race([
      firstLine,
      ended.then(() => undefined),
      delay(START_TIMEOUT_MS, undefined, { signal }),
    ])
    if (line === undefined)
      throw new PosternError(
        'misconfigured',
        `the access server did not start: ${complaint.trim() || `see ${places.serverLog}`}`,
      )
    return { ...ReadyLine.parse(JSON.parse(line)), pid: child.pid ?? -1, ended, stop }
  } catch (error) {
    await stop()
    throw error
  }
}
