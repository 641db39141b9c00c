// `npm run bench`: installs what is missing, then runs the benchmark of tests/bench/data-plane under the right Node. Runs on
// Node 20, dependency-free. With --install-peers it first installs the programs that Postern is compared with (Debian, as root).
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { installPackages } from './debian.mjs'
import { childEnvironment, findNode, missingNodeText, root } from './find-node.mjs'
import { installIfNeeded } from './install.mjs'
import { runChild } from './run-child.mjs'

/** What the benchmark is built with, and what it compares with. */
const PACKAGES = ['gcc', 'libc6-dev', 'libssl-dev', 'postgresql', 'haproxy', 'stunnel4', 'openssh-server', 'pgbouncer']

/**
 * As root everything runs in a network of its own that keeps few closed sockets (TIME_WAIT): the thousands that the fastest peers
 * leave behind would slow down the way that looks whose a connection is, and nobody has so many outside of a benchmark.
 */
const OWN_NETWORK = 'ip link set lo up && echo 200 > /proc/sys/net/ipv4/tcp_max_tw_buckets && exec "$@"'

/** What comes before a command so that it runs in a network of its own; nothing where that cannot be. */
function inOwnNetwork() {
  const prefix = ['unshare', '--net', '--', '/bin/sh', '-c', OWN_NETWORK, 'sh']
  const [command, ...args] = prefix
  const isPossible = process.getuid?.() === 0 && spawnSync(command, [...args, 'true']).status === 0
  return isPossible ? prefix : []
}

async function main() {
  const args = process.argv.slice(2)
  if (!existsSync('/proc/self/stat')) throw new Error('the benchmark reads /proc, so it runs on Linux only')
  await installIfNeeded(root)
  if (args.includes('--install-peers')) installPackages(PACKAGES, 'the benchmark')
  const node = findNode()
  if (!node) throw new Error(missingNodeText)
  const run = path.join(root, 'tests', 'bench', 'data-plane', 'run.ts')
  const [command, ...rest] = [...inOwnNetwork(), node, run, ...args]
  return runChild(command, rest, { env: childEnvironment() })
}

main().then(
  (code) => process.exit(code),
  (error) => {
    process.stderr.write(`npm run bench: ${error.message}\n`)
    process.exit(1)
  },
)
