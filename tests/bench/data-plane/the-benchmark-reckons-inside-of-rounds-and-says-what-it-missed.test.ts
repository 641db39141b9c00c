// The reckoning and the report of `npm run bench`: what a figure means must not depend on who reads it. Measures nothing.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { CELLS } from './proxy-tax.ts'
import { putInto, toJson, toMarkdown, type Run } from './report.ts'
import { TABLES, tableOf, type Sample, type TableId, type WayId } from './rows.ts'
import { figuresOf, percentileOf, spreadOf } from './statistics.ts'
import { judge } from './targets.ts'

/** Values of one row, one list a way, one value a round. */
function samplesOf(table: TableId, row: string, ways: Partial<Record<WayId, (number | undefined)[]>>): Sample[] {
  return (Object.entries(ways) as [WayId, (number | undefined)[]][]).flatMap(([way, values]) =>
    values.flatMap((value, round) => (value === undefined ? [] : [{ table, row, way, round, value }])),
  )
}

function figures(table: TableId, row: string, ways: Parameters<typeof samplesOf>[2]) {
  const { rows, ...rest } = tableOf(table)
  return figuresOf(
    { rows, ...rest },
    rows.find(({ id }) => id === row)!,
    samplesOf(table, row, ways),
  )
}

const runOf = (samples: Sample[], more: Partial<Run> = {}): Run => ({
  date: '2026-11-22T10:00:00.000Z',
  kind: 'full',
  machine: { processor: 'some, 2 cores' },
  leftOut: [],
  failures: [],
  samples,
  ...more,
})

describe('npm run bench: figures', () => {
  it('medians are those of the rounds, and noise is their smallest and largest', () => {
    expect(spreadOf([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3, n: 3 })
    expect(spreadOf([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4, n: 4 })
    expect(() => spreadOf([])).toThrow(RangeError)
    expect(
      percentileOf(
        Float64Array.from({ length: 100 }, (_, at) => 99 - at),
        0.99,
      ),
    ).toBe(99)
  })

  it('a ratio is taken inside of each round, so a slow round slows both sides of it', () => {
    const { against } = figures('gateway', 'up-1', { postern: [100, 10, 130], haproxy: [50, 5, 100] })
    expect(against.haproxy).toEqual({ kind: 'ratio', median: 2, min: 1.3, max: 2, n: 3 })
  })

  it('a round that one side has not measured is not compared', () => {
    const { against, ways } = figures('gateway', 'up-1', {
      postern: [100, undefined, 90],
      haproxy: [50, 60, undefined],
    })
    expect(against.haproxy).toMatchObject({ median: 2, n: 1 })
    expect(ways.haproxy).toMatchObject({ median: 55, n: 2 })
  })

  it('what is added over the direct way is subtracted in its round, and compared by difference', () => {
    const { against, ways } = figures('gateway', 'ping-p50', {
      direct: [20, 100],
      postern: [60, 150],
      haproxy: [40, 130],
    })
    expect(ways.postern).toMatchObject({ min: 40, max: 50 })
    expect(against.haproxy).toEqual({ kind: 'difference', median: 20, min: 20, max: 20, n: 2 })
  })

  it('the best peer is the best of its row by its own sense, and never one that is shown for information', () => {
    const upload = { postern: [100], haproxy: [50], stunnel: [60], direct: [900], ssh: [55] }
    expect(figures('gateway', 'up-1', upload).bestPeer).toBe('stunnel')
    expect(figures('gateway', 'connect-1', { postern: [100], haproxy: [50], ssh: [4000] }).bestPeer).toBe('haproxy')
    expect(figures('gateway', 'idle', { postern: [80], haproxy: [40], stunnel: [81] }).bestPeer).toBe('haproxy')
    const tax = { postern: [9], 'postern-no-audit': [10], pgbouncer: [12], ssh: [11] }
    expect(figures('proxy-tax', 'simple-8', tax).bestPeer).toBe('pgbouncer')
  })
})

describe('npm run bench: targets', () => {
  it('each is judged by the median, met or not, and said to be missing where it was not measured', () => {
    const verdicts = judge([
      ...samplesOf('gateway', 'up-1', { postern: [130], haproxy: [100] }),
      ...samplesOf('gateway', 'down-1', { postern: [80], haproxy: [100] }),
      ...samplesOf('gateway', 'ping-p50', { direct: [20], postern: [90], haproxy: [40] }),
      ...samplesOf('gateway', 'idle', { postern: [80] }),
      ...samplesOf('proxy-tax', 'simple-1-p50', { direct: [100], postern: [349] }),
      ...samplesOf('proxy-tax', 'simple-8', { postern: [61], pgbouncer: [100] }),
    ])
    const of = (row: string) => verdicts.find((verdict) => verdict.row === row)
    expect(of('up-1')).toMatchObject({ isMet: true, value: 1.3 })
    expect(of('down-1')).toMatchObject({ isMet: false })
    expect(of('ping-p50')).toMatchObject({ isMet: false, value: 50 })
    expect(of('idle')).toMatchObject({ isMet: true, value: 80 })
    expect(of('simple-1-p50')).toMatchObject({ isMet: true, value: 249 })
    expect(of('simple-8')).toMatchObject({ isMet: true })
    expect(of('connect-32')).toMatchObject({ isMet: undefined, value: undefined })
  })
})

describe('npm run bench: the report', () => {
  const samples = samplesOf('gateway', 'up-1', {
    direct: [900, 900],
    postern: [130, 90],
    haproxy: [100, 100],
    ssh: [50, 60],
  })

  it('shows medians, the ratio with its noise, peers that were left out and what failed', () => {
    const text = toMarkdown(runOf(samples, { leftOut: ['stunnel is not installed'], failures: ['idle, ssh: gone'] }))
    expect(text).toMatch(
      /^\| upload, 1 connection +\| MB\/s \| 900 +\| 110 +\| 100 +\| 55 +\| ±18 % \| ±9 % +\| 1\.10 \[0\.90 … 1\.30\] haproxy \|/m,
    )
    expect(text).toContain('Medians of 2 rounds')
    expect(text).toContain('- stunnel is not installed')
    expect(text).toContain('- idle, ssh: gone')
    expect(text).not.toContain('The proxy tax')
  })

  it('the noise of peers is that of those which are compared', () => {
    const connecting = samplesOf('gateway', 'connect-1', { postern: [90, 110], haproxy: [95, 105], ssh: [10, 90] })
    expect(toMarkdown(runOf(connecting))).toMatch(/^\| new connections, 1 at a time +\|.*\| ±10 % \| ±5 % +\|/m)
  })

  it('as JSON it holds every row that was measured and every target', () => {
    const json = JSON.parse(JSON.stringify(toJson(runOf(samples)))) as {
      tables: { id: string; rows: { id: string; against: Record<string, { median: number }> }[] }[]
      targets: { isMet: boolean | null }[]
    }
    expect(json.tables.map(({ id, rows }) => [id, rows.map((row) => row.id)])).toEqual([['gateway', ['up-1']]])
    expect(json.tables[0]?.rows[0]?.against['haproxy']?.median).toBeCloseTo(1.1)
    expect(json.targets.filter(({ isMet }) => isMet === false)).toHaveLength(1)
  })

  it('goes between the marks of a page and leaves the rest of it alone', () => {
    const page = 'before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n'
    expect(putInto(page, 'new')).toBe('before\n<!-- bench: begin -->\n\nnew\n\n<!-- bench: end -->\nafter\n')
    expect(() => putInto('no marks', 'new')).toThrow('bench: begin')
  })
})

describe('npm run bench: its parts', () => {
  it('every cell of pgbench has its four rows', () => {
    const ids = tableOf('proxy-tax').rows.map(({ id }) => id)
    expect(CELLS.flatMap((cell) => [cell, `${cell}-p50`, `${cell}-p99`, `${cell}-cpu`]).sort()).toEqual(ids.sort())
  })

  it('ids of rows are unique in their table', () => {
    for (const { rows } of TABLES) expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length)
  })

  it('--help loads everything that a run needs and names the options', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [join(import.meta.dirname, 'run.ts'), '--help'])
    const options = ['--quick', '--json', '--markdown', '--anyway', '--save', '--from', '--install-peers']
    for (const option of options) expect(stdout).toContain(option)
  })
})
