// `npm start`: installs what is missing, builds the app, then runs the demo under the right Node. Runs on Node 20, dependency-free.
// It promises to end (and to end the demo) on SIGINT, SIGTERM and the death of its parent; stdout is the demo's alone.
import path from 'node:path'
import { buildAppIfNeeded } from './build-app.mjs'
import { childEnvironment, findNode, missingNodeText, root } from './find-node.mjs'
import { installIfNeeded } from './install.mjs'
import { onParentDeath } from './parent-death.mjs'
import { runChild } from './run-child.mjs'

async function main() {
  const args = process.argv.slice(2)
  let endDemo = () => process.exit(1)
  // npm 11 that gets SIGTERM dies alone and leaves us behind.
  onParentDeath(() => endDemo())
  await installIfNeeded(root)
  const node = findNode()
  if (!node) throw new Error(missingNodeText)
  if (!args.includes('--no-app') && !args.includes('--help') && !args.includes('-h')) await buildApp(node)
  return runChild(node, [path.join(root, 'demo', 'main.ts'), ...args], {
    env: childEnvironment(),
    onStart: (child) => (endDemo = () => child.kill('SIGTERM')),
  })
}

/** A demo without its app is still a demo: it says what is missing. */
async function buildApp(node) {
  try {
    await buildAppIfNeeded({ root, node, onStart: () => process.stderr.write('Building the app …\n') })
  } catch (error) {
    process.stderr.write(`npm start: ${error.message}\n`)
  }
}

main().then(
  (code) => process.exit(code),
  (error) => {
    process.stderr.write(`npm start: ${error.message}\n`)
    process.exit(1)
  },
)
