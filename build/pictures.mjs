// Takes the pictures of the README anew: runs the test that shows every screen and keeps the four best in docs/pictures.
// `node build/pictures.mjs [FOLDER]`: all of them go to FOLDER (default: a fresh temporary one). Run on Node 24.
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { childEnvironment, findNode, missingNodeText, root } from './find-node.mjs'

const BEST = ['gateway-light-1280', 'relogin-dark-1280', 'resources-light-1280', 'palette-search-dark-1280']

const node = findNode()
if (!node) throw new Error(missingNodeText)
const folder = path.resolve(process.argv[2] ?? mkdtempSync(path.join(tmpdir(), 'postern-pictures-')))
const test = spawnSync(
  node,
  [path.join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', 'tests/e2e/every-screen-is-for-everyone.test.ts'],
  { cwd: root, env: { ...childEnvironment(), POSTERN_PICTURES: folder }, stdio: 'inherit' },
)
mkdirSync(path.join(root, 'docs', 'pictures'), { recursive: true })
for (const name of BEST)
  copyFileSync(path.join(folder, `${name}.png`), path.join(root, 'docs', 'pictures', `${name}.png`))
process.stdout.write(`All pictures: ${folder}\n`)
process.exit(test.status ?? 1)
