// Commands, and the core that they start, find the code that was compiled before: the core's environment says where.
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { run, until } from '../support/run.ts'

const POSTERN = new URL('../../bin/postern', import.meta.url).pathname
const BOUND = { timeout: 90_000 }

let home: string
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'postern-compiled-'))
})
afterAll(() => rm(home, { recursive: true, force: true }))
beforeEach((context) => context.skip(process.platform !== 'linux', 'only Linux has /proc/PID/environ: run it there'))

/** What the core that a command starts is told of the place for compiled code. */
async function cacheOfCore(ownCache: string | undefined): Promise<string | undefined> {
  const env = { POSTERN_HOME: home, NODE_COMPILE_CACHE: ownCache }
  const postern = (...args: string[]) => run(process.execPath, [POSTERN, ...args], { env, timeoutMs: 40_000 })
  const listed = await postern('gateway', 'ls', '--json')
  expect(listed).toMatchObject({ code: 0, stderr: '' })
  const { pid } = JSON.parse(await readFile(join(home, 'core.json'), 'utf8')) as { pid: number }
  try {
    const environment = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0')
    return environment.find((line) => line.startsWith('NODE_COMPILE_CACHE='))?.split('=')[1]
  } finally {
    await postern('core', 'stop')
    // It writes what it has compiled as the last thing of all.
    await until(() => !existsSync(`/proc/${pid}`), 'the core has ended', 30_000)
  }
}

it('the core finds its code compiled where commands find theirs', BOUND, async () => {
  expect(await cacheOfCore(undefined)).toMatch(/node_modules\/\.cache\/postern-compile-cache$/)
})

it('a place that a person has chosen for it stays', BOUND, async () => {
  const own = join(home, 'compiled')
  expect(await cacheOfCore(own)).toBe(own)
})
