// Builds the app (Electron's main and preload, the renderer) into out/ when its sources are not those that it was built from.
// Used by `npm start` and by the tests; runs on Node 20, dependency-free (the build itself runs on Node 24).
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

/** Everything that gets into the bundles. */
const SOURCES = ['electron', 'renderer', 'client', 'link', 'shared', 'electron.vite.config.ts', 'package-lock.json']
/** A build takes seconds. */
const DEADLINE_MS = 5 * 60_000

/** One digest over the names and contents of all sources. */
function digestOf(root) {
  const hash = createHash('sha256')
  const files = SOURCES.flatMap((source) => {
    try {
      return readdirSync(path.join(root, source), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
    } catch {
      return [path.join(root, source)]
    }
  })
  for (const file of files.sort())
    hash
      .update(`${path.relative(root, file)}\0`)
      .update(readFileSync(file))
      .update('\0')
  return hash.digest('hex')
}

const stampOf = (out) => path.join(out, 'built-from')

function isBuiltFrom(out, digest) {
  try {
    return readFileSync(stampOf(out), 'utf8') === digest
  } catch {
    return false
  }
}

/**
 * Builds if needed. Two that build at once do not harm each other: each builds beside and puts its result in place whole.
 * @param {{root: string, node: string, onStart?: () => void, signal?: AbortSignal}} options `node`: Node 24 or newer
 * @throws {Error} with the build's own messages
 */
export async function buildAppIfNeeded({ root, node, onStart = () => undefined, signal }) {
  const out = path.join(root, 'out')
  const digest = digestOf(root)
  if (isBuiltFrom(out, digest)) return
  onStart()
  const beside = path.join(root, `out-${process.pid}`)
  const old = path.join(root, `out-${process.pid}-old`)
  try {
    await runBuild(root, node, beside, signal)
    // Another build was quicker, and its result is in use: the same sources make the same result.
    if (isBuiltFrom(out, digest)) return
    writeFileSync(stampOf(beside), digest)
    try {
      renameSync(out, old)
    } catch (error) {
      if (error.code !== 'ENOENT') throw error
    }
    try {
      renameSync(beside, out)
    } catch (error) {
      // Or only just.
      if (!isBuiltFrom(out, digest)) throw error
    }
  } finally {
    for (const dir of [beside, old]) rmSync(dir, { recursive: true, force: true })
  }
}

async function runBuild(root, node, outDir, signal) {
  const vite = path.join(root, 'node_modules', 'electron-vite', 'bin', 'electron-vite.js')
  let said = ''
  const code = await new Promise((resolve, reject) => {
    const child = spawn(node, [vite, 'build', '--outDir', outDir, '--logLevel', 'warn'], {
      cwd: root,
      env: { ...process.env, NODE_ENV: 'production' },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: DEADLINE_MS,
      signal,
    })
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk))
    child.once('error', reject)
    child.once('exit', resolve)
  })
  if (code !== 0) throw new Error(`the app could not be built:\n${said}`)
}
