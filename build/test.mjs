// `npm test`: installs what the tests need, then types, lint, format and all tests, and ends with the one line
// `N passed, N failed, N skipped` (types, lint and format count as a test each). Runs on Node 20, dependency-free.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { installDebianPackages } from './debian.mjs'
import { childEnvironment, findNode, missingNodeText, root } from './find-node.mjs'
import { installIfNeeded } from './install.mjs'

/** Nothing of this takes that long unless it hangs. */
const STEP_TIMEOUT_MS = 60 * 60_000

const bin = (...parts) => path.join(root, 'node_modules', ...parts)

const CHECKS = [
  ...['.', 'renderer', 'tests'].map((project) => ({
    name: `types of ${project === '.' ? 'the house' : project}`,
    args: [bin('typescript', 'bin', 'tsc'), '--noEmit', '-p', project],
  })),
  { name: 'lint', args: [bin('eslint', 'bin', 'eslint.js'), '.', '--max-warnings=0'] },
  { name: 'format', args: [bin('prettier', 'bin', 'prettier.cjs'), '--check', '--log-level=warn', '.'] },
]

/** The children that run now, so that a signal ends them with us. */
const running = new Set()

function run(node, args, env) {
  return new Promise((resolve, reject) => {
    const child = spawn(node, args, {
      cwd: root,
      env,
      stdio: ['ignore', 'inherit', 'inherit'],
      timeout: STEP_TIMEOUT_MS,
    })
    running.add(child)
    child.once('error', reject)
    child.once('exit', (code) => {
      running.delete(child)
      resolve(code)
    })
  })
}

async function runVitest(node, env, args) {
  const directory = mkdtempSync(path.join(tmpdir(), 'postern-test-summary-'))
  const file = path.join(directory, 'summary.json')
  try {
    const reporters = ['--reporter=default', `--reporter=${path.join(root, 'build', 'test-summary.mjs')}`]
    const code = await run(node, [bin('vitest', 'vitest.mjs'), 'run', ...reporters, ...args], {
      ...env,
      POSTERN_TEST_SUMMARY: file,
    })
    const summary = JSON.parse(readFileSync(file, 'utf8'))
    // vitest can fail without a failed test (no test found, a worker that died): that is never a pass.
    if (code !== 0 && summary.failed === 0) summary.failed = 1
    return summary
  } catch (error) {
    process.stderr.write(`vitest ended without a report: ${error.message}\n`)
    return { passed: 0, failed: 1, skipped: [] }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

async function main() {
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.on(signal, () => {
      for (const child of running) child.kill(signal)
    })
  await installIfNeeded(root)
  installDebianPackages(root)
  const node = findNode()
  if (!node) throw new Error(missingNodeText)
  // Tests start `node` by name here and there: it must be the good one.
  const env = { ...childEnvironment(), PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH}` }
  const filters = process.argv.slice(2)
  let passed = 0
  const failedChecks = []
  for (const check of filters.length > 0 ? [] : CHECKS) {
    process.stdout.write(`${check.name} …\n`)
    if ((await run(node, check.args, env)) === 0) passed += 1
    else failedChecks.push(check.name)
  }
  const tests = await runVitest(node, env, filters)
  for (const name of failedChecks) process.stdout.write(`failed: ${name}\n`)
  for (const test of tests.skipped) process.stdout.write(`skipped: ${test.name}: ${test.reason}\n`)
  const failed = failedChecks.length + tests.failed
  process.stdout.write(`${passed + tests.passed} passed, ${failed} failed, ${tests.skipped.length} skipped\n`)
  return failed === 0 ? 0 : 1
}

main().then(
  (code) => process.exit(code),
  (error) => {
    process.stderr.write(`npm test: ${error.message}\n`)
    process.stdout.write('0 passed, 1 failed, 0 skipped\n')
    process.exit(1)
  },
)
