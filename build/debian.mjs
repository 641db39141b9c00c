// Debian packages that the tests need: which are missing, and how they get installed. Used by build/test.mjs.
// The one list of them is build/debian-packages.txt. Dependency-free, runs on Node 20.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const INSTALL_TIMEOUT_MS = 600_000

function readList(root) {
  return readFileSync(path.join(root, 'build', 'debian-packages.txt'), 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
}

/** Packages of the list that are not installed; undefined where this is no Debian. */
function findMissing(packages) {
  if (!existsSync('/usr/bin/dpkg-query')) return undefined
  return packages.filter((name) => {
    const query = spawnSync('dpkg-query', ['-W', '-f=${Status}', name], { encoding: 'utf8' })
    return query.stdout !== 'install ok installed'
  })
}

function apt(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const run = spawnSync('apt-get', ['-y', '-qq', ...args], {
    env,
    stdio: ['ignore', 2, 2],
    timeout: INSTALL_TIMEOUT_MS,
  })
  if (run.status !== 0) throw new Error(`apt-get ${args.join(' ')} failed; its messages above say why`)
}

/** Debian's postgresql would otherwise make a cluster of its own on port 5432 and start it. */
function keepPostgresqlFromStarting() {
  const directory = '/etc/postgresql-common/createcluster.d'
  mkdirSync(directory, { recursive: true })
  writeFileSync(path.join(directory, 'postern-tests.conf'), 'create_main_cluster = false\n')
}

/** What the tests need. */
export const installDebianPackages = (root) => installPackages(readList(root), 'the tests')

/** Installs what is missing as root; as anybody else (or where there is no apt) says what would be needed. */
export function installPackages(packages, what) {
  const missing = findMissing(packages)
  if (missing === undefined) {
    process.stderr.write(`This is no Debian: for ${what} one needs what these packages hold: ${packages.join(' ')}\n`)
    return
  }
  if (missing.length === 0) return
  if (process.getuid?.() !== 0) {
    process.stderr.write(`Missing Debian packages; as root: apt-get install ${missing.join(' ')}\n`)
    return
  }
  process.stderr.write(`Installing Debian packages: ${missing.join(' ')} …\n`)
  if (missing.includes('postgresql')) keepPostgresqlFromStarting()
  apt('update')
  apt('install', '--no-install-recommends', ...missing)
}
