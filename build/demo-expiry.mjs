// `npm run demo:expiry`: installs what is missing, then plays the demonstration under the right Node. Runs on Node 20,
// dependency-free. It promises to end (and to end the demonstration) on SIGINT, SIGTERM and the death of its parent.
import path from 'node:path'
import { childEnvironment, findNode, missingNodeText, root } from './find-node.mjs'
import { installIfNeeded } from './install.mjs'
import { onParentDeath } from './parent-death.mjs'
import { runChild } from './run-child.mjs'

async function main() {
  let endDemo = () => process.exit(1)
  // npm 11 that gets SIGTERM dies alone and leaves us behind.
  onParentDeath(() => endDemo())
  await installIfNeeded(root)
  const node = findNode()
  if (!node) throw new Error(missingNodeText)
  return runChild(node, [path.join(root, 'demo', 'expiry', 'main.ts'), ...process.argv.slice(2)], {
    env: childEnvironment(),
    onStart: (child) => (endDemo = () => child.kill('SIGTERM')),
  })
}

main().then(
  (code) => process.exit(code),
  (error) => {
    process.stderr.write(`npm run demo:expiry: ${error.message}\n`)
    process.exit(1)
  },
)
