// Installs the dependencies of this checkout when they are missing or are not those of package-lock.json. Used by
// `npm start` and `npm test`; runs on Node 20, dependency-free; npm's own noise goes to stderr.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'

const readJson = (file) => {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return undefined
  }
}

/**
 * Whether what npm wrote down as installed is what package-lock.json asks for. Optional packages may be absent, but for those of our
 * own that are made for every platform: builds bundle them.
 */
export function isInstalled(root) {
  const wanted = readJson(path.join(root, 'package-lock.json'))?.packages
  // npm writes this file last, so an interrupted installation has none.
  const installed = readJson(path.join(root, 'node_modules', '.package-lock.json'))?.packages
  if (!wanted || !installed) return false
  const same = (name) => wanted[name]?.version === installed[name]?.version
  const ours = new Set(Object.keys(wanted['']?.optionalDependencies ?? {}).map((name) => `node_modules/${name}`))
  const mayBeAbsent = (name, entry) => (entry.optional || entry.devOptional) && !(ours.has(name) && !entry.os)
  return (
    Object.keys(installed).every(same) &&
    Object.entries(wanted).every(([name, entry]) => name === '' || mayBeAbsent(name, entry) || same(name))
  )
}

/** Runs `npm ci` if it is needed. Rejects with a text for people if npm fails. Bounded by ten minutes. */
export async function installIfNeeded(root) {
  if (isInstalled(root)) return
  process.stderr.write('Installing dependencies (npm ci) …\n')
  // Under `npm start` npm names its own script; a plain `node build/start.mjs` takes npm from the PATH.
  const npm = process.env.npm_execpath?.endsWith('.js')
    ? { command: process.execPath, args: [process.env.npm_execpath] }
    : { command: process.platform === 'win32' ? 'npm.cmd' : 'npm', args: [] }
  const code = await new Promise((resolve, reject) => {
    const child = spawn(npm.command, [...npm.args, 'ci', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: root,
      // stdout is for our own ready line only
      stdio: ['ignore', 2, 2],
      timeout: 600_000,
    })
    const passOn = (signal) => child.kill(signal)
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, passOn)
    child.once('error', reject)
    child.once('exit', (exitCode) => {
      for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, passOn)
      resolve(exitCode)
    })
  })
  if (code !== 0) throw new Error('npm ci failed; its messages above say why. Mend that and start again.')
}
