// Finds the Node (24 or newer) that runs Postern's TypeScript directly. Used by bin/postern, build/start.mjs and
// build/test.mjs, all of which must run on the Node 20 that a machine already has. Dependency-free.
import { existsSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))

/** The oldest Node that strips types without being asked to. */
const NEEDED_MAJOR = 24

export const isOwnNodeGood = Number(process.versions.node.split('.')[0]) >= NEEDED_MAJOR

/** Path of a good Node: this process's own, else the one that `npm ci` put into the checkout, else undefined. */
export function findNode() {
  if (isOwnNodeGood) return process.execPath
  const name = process.platform === 'win32' ? 'node.exe' : 'node'
  const ofCheckout = path.join(root, 'node_modules', '.bin', name)
  return existsSync(ofCheckout) ? ofCheckout : undefined
}

export const missingNodeText =
  `Postern needs Node ${NEEDED_MAJOR} or newer; this is ${process.version} and the checkout has none of its own yet.\n` +
  `Run "npm ci" in ${root} (it brings Node ${NEEDED_MAJOR} along on Linux and Windows), or install Node ${NEEDED_MAJOR}.`

/** Environment for a child: compiled code is cached beside the dependencies, so that `postern` starts quickly. */
export function childEnvironment() {
  return { NODE_COMPILE_CACHE: compileCacheDirectory, ...process.env }
}

export const compileCacheDirectory = path.join(root, 'node_modules', '.cache', 'postern-compile-cache')
