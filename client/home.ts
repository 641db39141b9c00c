// The paths below one Postern home directory and the promise that only its owner can read them. Called by main.ts (which
// prepares the directory) and by connect.ts (which finds the running core through it).
import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { PosternError } from '../shared/errors.ts'

export type Home = {
  dir: string
  /** Held exclusively by the one core of this home. */
  lockFile: string
  /** Says where the running core listens; see CorePointer. */
  pointerFile: string
  logFile: string
  settingsFile: string
  profilesDir: string
  gatewaysFile: string
}

/** What the core writes once it listens: hosts with another TMPDIR or XDG_RUNTIME_DIR must find the same socket. */
export const CorePointer = z.object({ socket: z.string(), pid: z.number().int() })
export type CorePointer = z.infer<typeof CorePointer>

/** Longest socket path that fits in `sockaddr_un` everywhere (104 bytes on macOS, 108 on Linux), in bytes. */
const SOCKET_PATH_MAX_BYTES = 100

export function homeAt(dir: string): Home {
  return {
    dir,
    lockFile: join(dir, 'core.lock'),
    pointerFile: join(dir, 'core.json'),
    logFile: join(dir, 'core.log'),
    settingsFile: join(dir, 'settings.json'),
    profilesDir: join(dir, 'profiles'),
    gatewaysFile: join(dir, 'gateways.json'),
  }
}

/** POSTERN_HOME, or `~/.postern`. */
export const homeDirFrom = (env: NodeJS.ProcessEnv, userHome: string): string =>
  env['POSTERN_HOME'] || join(userHome, '.postern')

/**
 * Makes the home directory, 0700.
 * @throws PosternError `misconfigured` if it belongs to another user or is no directory
 */
export async function prepareHome(dir: string, uid: number | undefined): Promise<Home> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw new PosternError(
      'misconfigured',
      `cannot make the Postern home directory ${dir}: ${errnoText(error)}; set POSTERN_HOME to a directory of yours`,
      { cause: error },
    )
  }
  const found = await stat(dir)
  if (uid !== undefined && found.uid !== uid) {
    throw new PosternError(
      'misconfigured',
      `the Postern home directory ${dir} belongs to another user (uid ${found.uid}, you are ${uid}); set POSTERN_HOME to a directory of yours`,
    )
  }
  await chmod(dir, 0o700)
  // The core runs in another working directory than the host that started it.
  const home = homeAt(resolve(dir))
  await mkdir(home.profilesDir, { recursive: true, mode: 0o700 })
  return home
}

/**
 * Where the core's control socket goes: into the home if the path is short enough, else into a 0700 directory of ours below
 * the first of `shortDirs` (XDG_RUNTIME_DIR, the temporary directory).
 * @throws PosternError `misconfigured` if that directory is not ours alone (another user may have made it first)
 */
export async function controlSocketOf(home: Home, uid: number | undefined, shortDirs: string[]): Promise<string> {
  const inside = join(home.dir, 'core.sock')
  if (Buffer.byteLength(inside) <= SOCKET_PATH_MAX_BYTES) return inside
  const name = `${createHash('sha256').update(home.dir).digest('hex').slice(0, 20)}.sock`
  const candidates = shortDirs.map((dir) => join(dir, `postern-${uid ?? 'user'}`))
  const shortDir = candidates.find((dir) => Buffer.byteLength(join(dir, name)) <= SOCKET_PATH_MAX_BYTES)
  if (shortDir === undefined) {
    throw new PosternError(
      'misconfigured',
      `${home.dir} is too long for a control socket, and so is the temporary directory`,
    )
  }
  await mkdir(shortDir, { recursive: true, mode: 0o700 })
  // lstat: a link that another user put there must not lead us into a directory of theirs.
  const found = await lstat(shortDir)
  if (!found.isDirectory() || (uid !== undefined && found.uid !== uid) || (found.mode & 0o077) !== 0) {
    throw new PosternError(
      'misconfigured',
      `${shortDir} is not a directory that only you can open; remove it or set a shorter POSTERN_HOME`,
    )
  }
  return join(shortDir, name)
}

/** Where the core of this home says that it listens; undefined if it never did, or the file is torn. */
export async function readCorePointer(home: Home): Promise<CorePointer | undefined> {
  try {
    return CorePointer.parse(JSON.parse(await readFile(home.pointerFile, 'utf8')))
  } catch {
    return undefined
  }
}

const errnoText = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : String(error)
