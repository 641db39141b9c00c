// From samples to figures: medians over the rounds, and comparisons inside of each round, so that what slows the whole machine
// down for a while slows both sides of a comparison. Pure.
import { isPeer, type Row, type Sample, type Table, type WayId } from './rows.ts'

/** Of the rounds; `n` of them had a value. */
export type Spread = { median: number; min: number; max: number; n: number }

export type Comparison = Spread & {
  /** `ratio`: first / second. `difference`: first − second, where a value itself is a difference and may be near zero. */
  kind: 'ratio' | 'difference'
}

export type RowFigures = {
  row: Row
  ways: Partial<Record<WayId, Spread>>
  bestPeer: WayId | undefined
  /** Postern against each other way. */
  against: Partial<Record<WayId, Comparison>>
}

/** @throws RangeError for no values */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (index: number): number => {
    const value = sorted[index]
    if (value === undefined) throw new RangeError('no values')
    return value
  }
  const half = sorted.length / 2
  const median = Number.isInteger(half) ? (at(half - 1) + at(half)) / 2 : at(Math.floor(half))
  return { median, min: at(0), max: at(sorted.length - 1), n: sorted.length }
}

/** The value at a fraction of the sorted values (nearest rank below), as the load generator does it. */
export function percentileOf(values: Float64Array, fraction: number): number {
  const sorted = values.toSorted()
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))]
  if (value === undefined) throw new RangeError('no values')
  return value
}

/** Value of each round of one way in one row, less that of `direct` where the row says so. */
function roundsOf(row: Row, way: WayId, samples: readonly Sample[]): Map<number, number> {
  const valuesOf = (wanted: WayId) =>
    new Map(samples.filter((one) => one.row === row.id && one.way === wanted).map((one) => [one.round, one.value]))
  const own = valuesOf(way)
  if (!row.isOverDirect || way === 'direct') return own
  const direct = valuesOf('direct')
  return new Map(
    [...own].flatMap(([round, value]) => {
      const base = direct.get(round)
      return base === undefined ? [] : [[round, value - base] as const]
    }),
  )
}

/** Inside of each round that has both; undefined where none has. */
export function compare(
  row: Row,
  first: ReadonlyMap<number, number>,
  second: ReadonlyMap<number, number>,
): Comparison | undefined {
  const kind = row.isOverDirect ? 'difference' : 'ratio'
  const values = [...first].flatMap(([round, a]) => {
    const b = second.get(round)
    if (b === undefined || (kind === 'ratio' && b === 0)) return []
    return [kind === 'ratio' ? a / b : a - b]
  })
  return values.length === 0 ? undefined : { kind, ...spreadOf(values) }
}

/** The figures of one row of a table; ways without a sample are left out. */
export function figuresOf(table: Table, row: Row, all: readonly Sample[]): RowFigures {
  const samples = all.filter((sample) => sample.table === table.id)
  const ways = Object.keys(table.ways) as WayId[]
  const rounds = new Map(ways.map((way) => [way, roundsOf(row, way, samples)]))
  const figures: RowFigures = { row, ways: {}, bestPeer: undefined, against: {} }
  const own = rounds.get('postern') ?? new Map<number, number>()
  for (const [way, values] of rounds) {
    if (values.size === 0) continue
    figures.ways[way] = spreadOf([...values.values()])
    const comparison = way === 'postern' ? undefined : compare(row, own, values)
    if (comparison) figures.against[way] = comparison
  }
  const sign = row.better === 'higher' ? -1 : 1
  const peers = ways
    .filter((way) => isPeer(way) && figures.ways[way] && !row.informationOnly?.includes(way))
    .sort((a, b) => sign * ((figures.ways[a]?.median ?? 0) - (figures.ways[b]?.median ?? 0)))
  figures.bestPeer = peers[0]
  return figures
}
