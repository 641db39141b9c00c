// What Postern set out to reach, against haproxy with its defaults or pgbouncer with TLS in the same run, and whether it did. Pure.
import { tableOf, type Sample, type TableId, type WayId } from './rows.ts'
import { figuresOf } from './statistics.ts'

type Target = {
  table: TableId
  row: string
  /** `absolute`: Postern's own value, in the unit of the row. `over`: Postern's value less that of the way, in the same unit. */
  measure: 'ratio' | 'over' | 'absolute'
  way?: WayId
  atLeast?: number
  atMost?: number
}

const TARGETS: readonly Target[] = [
  ...['up-1', 'up-8'].map((row) => againstHaproxy('gateway', row, { atLeast: 1.3 })),
  ...['down-1', 'down-8'].map((row) => againstHaproxy('gateway', row, { atLeast: 0.9 })),
  { table: 'gateway', row: 'ping-p50', measure: 'over', way: 'haproxy', atMost: 30 },
  ...['connect-1', 'connect-32'].map((row) => againstHaproxy('gateway', row, { atLeast: 0.6 })),
  ...['connect-1', 'connect-32'].map((row) => againstHaproxy('whole-way', row, { atLeast: 2 })),
  ...(['gateway', 'whole-way'] as const).map((table) => againstHaproxy(table, 'first-byte-p50', { atMost: 0.8 })),
  { table: 'gateway', row: 'idle', measure: 'absolute', atMost: 80 },
  ...['simple-8', 'prepared-8'].map((row): Target => ({
    table: 'proxy-tax',
    row,
    measure: 'ratio',
    way: 'pgbouncer',
    atLeast: 0.6,
  })),
  ...['simple-1-p50', 'prepared-1-p50'].map((row): Target => ({
    table: 'proxy-tax',
    row,
    measure: 'over',
    way: 'direct',
    atMost: 250,
  })),
  ...['ping-down', 'ping-up', 'select-copy-out', 'select-copy-in'].map((pair): Target => ({
    table: 'neighbours',
    row: `${pair}-times`,
    measure: 'absolute',
    atMost: 3,
  })),
]

function againstHaproxy(table: TableId, row: string, bound: { atLeast: number } | { atMost: number }): Target {
  return { table, row, measure: 'ratio', way: 'haproxy', ...bound }
}

export type Verdict = {
  table: TableId
  row: string
  /** In words, with its bound and unit. */
  what: string
  /** Median of the rounds; undefined where it was not measured. */
  value: number | undefined
  isMet: boolean | undefined
}

/** Judges every target by the medians; nothing is left out. */
export function judge(samples: readonly Sample[]): Verdict[] {
  return TARGETS.map((target) => {
    const table = tableOf(target.table)
    const row = table.rows.find(({ id }) => id === target.row)
    if (!row) throw new RangeError(`no row ${target.row}`)
    const { ways, against } = figuresOf(table, row, samples)
    const own = ways.postern?.median
    const other = target.way && ways[target.way]?.median
    const value =
      target.measure === 'absolute'
        ? own
        : target.measure === 'ratio'
          ? target.way && against[target.way]?.median
          : own !== undefined && other !== undefined
            ? own - other
            : undefined
    const bound = target.atLeast === undefined ? `≤ ${target.atMost ?? 0}` : `≥ ${target.atLeast}`
    const wayTitle = target.way && table.ways[target.way]
    // A row that begins with an ellipsis goes on from the one above it.
    const title = row.title.startsWith('…')
      ? `${target.row.split('-p')[0]?.replace('-', ', ') ?? ''} ${row.title.slice(2)}`
      : row.title
    const what =
      target.measure === 'absolute'
        ? `${title} ${bound} ${row.unit}`
        : target.measure === 'ratio'
          ? `${title}: ${bound} × ${wayTitle ?? ''}`
          : `${title}: ${bound} ${row.unit} over ${wayTitle ?? ''}`
    const isMet =
      value === undefined
        ? undefined
        : target.atLeast === undefined
          ? value <= (target.atMost ?? 0)
          : value >= target.atLeast
    return { table: target.table, row: target.row, what, value, isMet }
  })
}
