// Where a demo keeps what it makes: one data directory per clone, and a place for PostgreSQL that its user can reach.
// Used by main.ts.
import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir } from 'node:fs/promises'
import path from 'node:path'
import { PosternError } from '../shared/errors.ts'
import { chooseServerUser, findUntraversable } from './postgres/server-user.ts'

export type Places = {
  dataDir: string
  /** Ports, passwords and what was set up; 0600. */
  stateFile: string
  lockFile: string
  /** What the running demo printed, for a second start; 0600. */
  readyFile: string
  /** POSTERN_HOME of the demo. */
  home: string
  /** A home for setting up, gone afterwards: nobody is signed in in the demo's own one. */
  setupHome: string
  serverDir: string
  serverConfig: string
  serverLog: string
  log: string
  postgresDir: string
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12)

/** `$XDG_STATE_HOME/postern/demo-HASH`, the hash being that of the clone's path. */
export function defaultDataDir(checkout: string, env: NodeJS.ProcessEnv, userHome: string): string {
  const stateHome = env['XDG_STATE_HOME'] || path.join(userHome, '.local', 'state')
  return path.join(stateHome, 'postern', `demo-${hashOf(checkout)}`)
}

/** Makes the data directory (0700) and says where everything lies in it. */
export async function preparePlaces(dataDir: string, uid: number | undefined): Promise<Places> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  await chmod(dataDir, 0o700)
  const within = (...parts: string[]) => path.join(dataDir, ...parts)
  return {
    dataDir,
    stateFile: within('demo.json'),
    lockFile: within('demo.lock'),
    readyFile: within('ready.json'),
    home: within('home'),
    setupHome: within('setup-home'),
    serverDir: within('server'),
    serverConfig: within('server.yaml'),
    serverLog: within('server.log'),
    log: within('demo.log'),
    postgresDir: await choosePostgresDir(dataDir, uid),
  }
}

/**
 * PostgreSQL refuses root, and the user that it runs as instead cannot enter a 0700 directory: for root its data goes to
 * /var/tmp, which everybody may pass through.
 * @throws PosternError `conflict` if another user has put something there
 */
async function choosePostgresDir(dataDir: string, uid: number | undefined): Promise<string> {
  const inside = path.join(dataDir, 'postgres')
  const user = await chooseServerUser(path.join(inside, 'cluster'))
  if ((await findUntraversable(dataDir, user)) === undefined) return inside
  const outside = `/var/tmp/postern-demo-${uid ?? 'user'}-${hashOf(dataDir)}`
  const found = await lstat(outside).catch(() => undefined)
  if (found !== undefined && (!found.isDirectory() || found.uid !== uid))
    throw new PosternError('conflict', `${outside} belongs to somebody else: remove it, or choose another --data`)
  return outside
}
