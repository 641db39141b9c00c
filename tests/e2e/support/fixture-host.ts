// A browser host in the test's own process, with a page of two lines and no core behind it: for the tests of its door.
import { randomBytes } from 'node:crypto'
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { readDoor, type BrowserDoor } from '../../../client/app/door.ts'
import type { CoreConnection } from '../../../client/connect.ts'
import { createLocalUserCheck } from '../../../client/gateways/local-user.ts'
import { readAppFiles } from '../../../electron/browser-host/app-files.ts'
import { startBrowserHost, type BrowserHost } from '../../../electron/browser-host/host.ts'
import { browserShell } from '../../../electron/browser-host/shell.ts'
import { PosternError } from '../../../shared/errors.ts'
import { rawRequest } from './raw-http.ts'

export type FixtureHost = BrowserHost & {
  home: string
  authority: string
  door: BrowserDoor
  /** Everything the host logged. */
  logged: () => string
  /** How often it found that nobody needs it. */
  idle: () => number
  /** Uses a ticket up; the cookie that it gave. */
  cookie: () => Promise<string>
}

export async function startFixtureHost(
  options: {
    graceMs?: number
    launchWaitMs?: number
    home?: string
    /** Where it looks for a browser of its own; nowhere without it. */
    env?: NodeJS.ProcessEnv
    connect?: (signal: AbortSignal) => Promise<CoreConnection>
  } = {},
): Promise<FixtureHost> {
  const home = options.home ?? (await mkdtemp(join(tmpdir(), 'postern-host-')))
  const app = join(home, 'app')
  await mkdir(join(app, 'assets'), { recursive: true })
  await writeFile(
    join(app, 'index.html'),
    '<!doctype html><title>Fixture</title><p>fixture</p><script type="module" src="/assets/app.js"></script>',
  )
  await writeFile(join(app, 'assets', 'app.js'), 'document.title = "script ran"')
  await writeFile(join(home, 'secret.json'), '{"secret": true}')
  let log = ''
  let idle = 0
  const host = await startBrowserHost({
    homeDir: home,
    files: await readAppFiles(app),
    shell: browserShell('0.0.0-test'),
    connect: options.connect ?? (() => Promise.reject(new PosternError('core_unreachable', 'no core in this test'))),
    machine: { platform: process.platform, env: options.env ?? {}, uid: process.getuid?.() },
    checkLocalUser: createLocalUserCheck({ platform: process.platform, ownUid: process.getuid?.() }),
    randomHex: (bytes) => randomBytes(bytes).toString('hex'),
    graceMs: options.graceMs ?? 60_000,
    launchWaitMs: options.launchWaitMs ?? 60_000,
    onIdle: () => idle++,
    log: pino({ level: 'debug' }, { write: (line: string) => (log += line) }),
  })
  const door = await readDoor(home)
  if (!door) throw new Error('the host wrote no door file')
  const { authority } = door
  return {
    ...host,
    home,
    door,
    authority,
    logged: () => log,
    idle: () => idle,
    async cookie() {
      const answer = await rawRequest(host.port, `GET ${new URL(host.freshUrl()).pathname}`, { host: authority })
      return answer.headers.get('set-cookie')?.split(';')[0] ?? ''
    },
    async close() {
      await host.close()
      if (options.home === undefined) await rm(home, { recursive: true, force: true })
    },
  }
}
