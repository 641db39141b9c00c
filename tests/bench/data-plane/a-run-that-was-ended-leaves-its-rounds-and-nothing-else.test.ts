// What stays of a run of `npm run bench` that was ended: its rounds, if it was told to keep them, and nothing that disturbs the next
// one. And that a busy machine writes no figures of record. Measures nothing.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Kept, until } from '../../support/run.ts'
import { sweepLeftovers } from './leftovers.ts'
import { freePort } from '../../support/free-port.ts'
import { isListeningOn, startListening } from './listening.ts'
import { latenciesOf, timesBetweenEnds } from './pgbench.ts'
import type { Run } from './report.ts'
import { mergeRuns, readRuns, saveRun } from './saved-runs.ts'

const RUN = join(import.meta.dirname, 'run.ts')
const runOf = (load: string, values: number[]): Run => ({
  ...{ date: '2026-11-22T10:00:00.000Z', kind: 'full', leftOut: [], failures: [] },
  machine: { processor: 'some, 2 cores', 'load before': load },
  samples: values.flatMap((value, round) => [
    { table: 'gateway', row: 'up-1', way: 'postern', round, value },
    { table: 'gateway', row: 'up-1', way: 'haproxy', round, value: 100 },
  ]),
})

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-bench-test-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

describe('npm run bench: rounds that were kept', () => {
  it('come back as one run: rounds of one file are further rounds to those of the other', async () => {
    const files = ['a', 'b'].map((name) => join(directory, name))
    await saveRun(files[0]!, runOf('0.20', [110, 120]))
    await saveRun(files[1]!, runOf('0.90', [130]))
    const run = await readRuns(files)
    expect(run.samples.filter(({ way }) => way === 'postern').map(({ round, value }) => [round, value])).toEqual([
      [0, 110],
      [1, 120],
      [2, 130],
    ])
    expect(run.machine['load before']).toBe('0.20, 0.90')
    expect(() => mergeRuns([])).toThrow(RangeError)
  })

  it('of another machine, or no rounds at all, are not mixed in', async () => {
    const files = ['a', 'b'].map((name) => join(directory, name))
    await saveRun(files[0]!, runOf('0', [1]))
    await saveRun(files[1]!, { ...runOf('0', [1]), machine: { processor: 'another', 'load before': '0' } })
    await expect(readRuns(files)).rejects.toThrow(/processor is some, 2 cores in one, another in the other/)
    await writeFile(files[1]!, '{"date":"today"}')
    await expect(readRuns(files)).rejects.toThrow('is no run that --save has written')
  })

  it('go onto a page of record only if the machine was quiet before, unless somebody says so', async () => {
    const [page, saved] = [join(directory, 'page.md'), join(directory, 'saved')]
    await writeFile(page, '<!-- bench: begin -->\n<!-- bench: end -->\n')
    await saveRun(saved, runOf('1.60', [150]))
    const write = (...more: string[]) =>
      promisify(execFile)(process.execPath, [RUN, '--from', saved, '--markdown', page, ...more])
    await expect(write()).rejects.toMatchObject({ code: 1, stderr: /was busy before \(load 1\.6, above 1\.5\)/ })
    expect(await readFile(page, 'utf8')).not.toContain('upload')
    expect((await write('--anyway')).stdout).toContain('upload, 1 connection')
    expect(await readFile(page, 'utf8')).toContain('| upload, 1 connection | MB/s | 150')
  })
})

describe('npm run bench: what a killed run has left', () => {
  it('is ended and removed by the next one; what others own stays', async () => {
    // The process of this number has ended, so nobody owns the directory.
    const gone = spawn(process.execPath, ['-e', ''])
    await once(gone, 'close')
    const left = join(directory, `postern-bench-${gone.pid!}-abcdef`)
    await mkdir(join(left, 'inside'), { recursive: true })
    const script = 'console.log("up"); setInterval(() => undefined, 1000)'
    const idle = (options: ConstructorParameters<typeof Kept>[2], ...args: string[]) =>
      new Kept(process.execPath, ['-e', script, ...args], options)
    const ofRun = [
      idle({ env: { TMPDIR: left } }),
      idle({ cwd: join(left, 'inside') }),
      idle({}, join(left, 'settings.conf')),
    ]
    const ofOthers = idle({ env: { TMPDIR: directory } }, `${left}-and-more`)
    try {
      await Promise.all([...ofRun, ofOthers].map((one) => one.waitFor(/up/)))
      expect(await sweepLeftovers(directory)).toEqual([left])
      expect(await Promise.all(ofRun.map(async (one) => (await one.ended).signal))).toEqual(Array(3).fill('SIGKILL'))
      expect([existsSync(left), ofOthers.isRunning]).toEqual([false, true])
    } finally {
      await Promise.all([...ofRun, ofOthers].map((one) => one.stop('SIGKILL')))
    }
  })

  it('is nothing of a run that still goes on', async () => {
    const running = new Kept(process.execPath, ['-e', 'setInterval(() => undefined, 1000)', 'data-plane/run.ts'])
    try {
      const its = join(directory, `postern-bench-${running.child.pid!}-abcdef`)
      await mkdir(its)
      await until(
        async () => (await readFile(`/proc/${running.child.pid!}/cmdline`, 'utf8')).includes('data-plane/run.ts'),
        'it runs',
      )
      expect(await sweepLeftovers(directory)).toEqual([])
      expect(existsSync(its)).toBe(true)
    } finally {
      await running.stop('SIGKILL')
    }
  })
})

describe('npm run bench: whom it measures', () => {
  const LISTEN = `require('node:net').createServer().listen(Number(process.argv[1]), '127.0.0.1')`

  it('is the program that it started, never another one that has its port', async () => {
    const [port, other] = [await freePort(), await freePort()]
    expect(port).not.toBe(other)
    const squatter = createServer((socket) => socket.end('hello')).listen(port, '127.0.0.1')
    await once(squatter, 'listening')
    expect((squatter.address() as AddressInfo).port).toBe(port)
    try {
      expect(await isListeningOn(process.pid, port)).toBe(true)
      await expect(startListening(process.execPath, ['-e', LISTEN, String(port)], port)).rejects.toThrow(/EADDRINUSE/)
      const kept = await startListening(process.execPath, ['-e', LISTEN, String(other)], other)
      expect(await isListeningOn(kept.child.pid!, other)).toBe(true)
      expect(await isListeningOn(process.pid, other)).toBe(false)
      await kept.stop()
    } finally {
      squatter.close()
    }
  })
})

describe('npm run bench: the log of pgbench', () => {
  // client, transaction, latency in µs, script, end in seconds and µs
  const lines = [
    [0, 0, 700, 0, 100, 10_000],
    [1, 0, 800, 0, 100, 12_000],
    [0, 1, 690, 0, 100, 19_500],
    [1, 1, 710, 0, 101, 2_000],
    [0, 2, 720, 0, 100, 29_000],
  ]
  it('gives latencies, and with connecting the time from end to end of each client', () => {
    expect([...latenciesOf(lines)]).toEqual([700, 800, 690, 710, 720])
    expect([...timesBetweenEnds(lines)]).toEqual([9_500, 990_000, 9_500])
  })
})
