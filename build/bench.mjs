// `npm run bench`: installs what is missing, then runs the benchmark of tests/bench/data-plane under the right Node. Runs on
// Node 20, dependency-free. With --install-peers it first installs the programs that Postern is compared with (Debian, as root).
import { existsSync } from 'node:fs'
import path from 'node:path'
import { installPackages } from './debian.mjs'
import { childEnvironment, findNode, missingNodeText, root } from './find-node.mjs'
import { installIfNeeded } from './install.mjs'
import { runChild } from './run-child.mjs'

/** What the benchmark is built with, and what it compares with. */
const PACKAGES = ['gcc', 'libc6-dev', 'libssl-dev', 'postgresql', 'haproxy', 'stunnel4', 'openssh-server', 'pgbouncer']

async function main() {
  const args = process.argv.slice(2)
  if (!existsSync('/proc/self/stat')) throw new Error('the benchmark reads /proc, so it runs on Linux only')
  await installIfNeeded(root)
  if (args.includes('--install-peers')) installPackages(PACKAGES, 'the benchmark')
  const node = findNode()
  if (!node) throw new Error(missingNodeText)
  return runChild(node, [path.join(root, 'tests', 'bench', 'data-plane', 'run.ts'), ...args], {
    env: childEnvironment(),
  })
}

main().then(
  (code) => process.exit(code),
  (error) => {
    process.stderr.write(`npm run bench: ${error.message}\n`)
    process.exit(1)
  },
)
