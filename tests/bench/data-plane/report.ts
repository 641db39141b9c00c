// The words and tables of a run: Markdown, which a terminal shows as well as a page does, and the JSON object. Pure.
import { isPeer, TABLES, type Row, type Sample, type Table, type TableId, type WayId } from './rows.ts'
import { figuresOf, type Comparison, type RowFigures, type Spread } from './statistics.ts'
import { judge, type Verdict } from './targets.ts'

export type Run = {
  /** Of its start, ISO 8601. */
  date: string
  kind: 'full' | 'quick'
  /** What it ran on, by kind: processor, kernel, versions. No names of machines. */
  machine: Record<string, string>
  /** Peers that were not there, and why. */
  leftOut: readonly string[]
  /** Single measurements that failed. */
  failures: readonly string[]
  samples: readonly Sample[]
}

/** Everything, for machines: figures of each row and way, comparisons, targets. */
export function toJson(run: Run): object {
  const { samples, ...rest } = run
  return {
    ...rest,
    tables: measuredTables(samples).map(([table, figures]) => ({
      id: table.id,
      title: table.title,
      ways: table.ways,
      rows: figures.map(({ row: { id, title, unit, better }, ways, bestPeer, against }) => ({
        ...{ id, title, unit, better, ways, bestPeer: bestPeer ?? null, against },
      })),
    })),
    targets: judge(samples).map((verdict) => ({
      ...verdict,
      value: verdict.value ?? null,
      isMet: verdict.isMet ?? null,
    })),
  }
}

/** The tables for people. */
export function toMarkdown(run: Run): string {
  const { samples, machine, leftOut, failures } = run
  const [fewest, most] = roundsOf(samples)
  const kind = run.kind === 'quick' ? 'A quick run (--quick): short measurements, the most important rows. ' : ''
  const noise =
    most > 1
      ? `Medians of ${fewest === most ? most : `${fewest} to ${most}`} rounds; in brackets the smallest and largest of the ` +
        'rounds’ comparisons; noise is how far rounds lie from the median of their way: Postern’s, and those of the noisiest peer ' +
        'that is compared.'
      : 'One round: nothing is known of the noise.'
  const sections = measuredTables(samples).map(([table, figures]) => tableText(table, figures))
  const lists = [
    ...(leftOut.length > 0 ? [`Left out:\n\n${leftOut.map((text) => `- ${text}`).join('\n')}`] : []),
    ...(failures.length > 0 ? [`Failed:\n\n${failures.map((text) => `- ${text}`).join('\n')}`] : []),
  ]
  return [
    `${kind}${noise} ${run.date.slice(0, 10)}.`,
    grid(['machine', ''], Object.entries(machine)),
    ...sections,
    '### Targets',
    targetText(judge(samples)),
    ...lists,
  ].join('\n\n')
}

/** Replaces what is between the marks of a page. @throws Error if the page has no marks */
export function putInto(page: string, text: string): string {
  const [begin, end] = ['<!-- bench: begin -->', '<!-- bench: end -->']
  const [from, to] = [page.indexOf(begin), page.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`the page has no place for tables: it needs the lines ${begin} and ${end}`)
  return `${page.slice(0, from + begin.length)}\n\n${text}\n\n${page.slice(to)}`
}

/** How many rounds the rows have: the fewest and the most. */
function roundsOf(samples: readonly Sample[]): [number, number] {
  const rounds = new Map<string, Set<number>>()
  for (const { table, row, round } of samples) {
    const key = `${table} ${row}`
    rounds.set(key, (rounds.get(key) ?? new Set()).add(round))
  }
  const counts = [...rounds.values()].map(({ size }) => size)
  return counts.length === 0 ? [0, 0] : [Math.min(...counts), Math.max(...counts)]
}

function measuredTables(samples: readonly Sample[]): [Table, RowFigures[]][] {
  return TABLES.flatMap((table) => {
    const rows = table.rows.map((row) => figuresOf(table, row, samples))
    const measured = rows.filter(({ ways }) => Object.keys(ways).length > 0)
    return measured.length === 0 ? [] : [[table, measured] as [Table, RowFigures[]]]
  })
}

function tableText(table: Table, figures: readonly RowFigures[]): string {
  const ways = (Object.keys(table.ways) as WayId[]).filter((way) => figures.some((one) => one.ways[way]))
  const head = [
    ...['', 'unit', ...ways.map((way) => table.ways[way] ?? way)],
    ...['noise', 'noise, peers', 'Postern / best peer', 'Postern / haproxy'],
  ]
  const rows = figures.map(({ row, ways: values, bestPeer, against }) => [
    row.title,
    row.unit,
    ...ways.map((way) => (values[way] ? values[way].median.toFixed(digitsOf(row)) : '')),
    noiseText([values.postern]),
    noiseText(ways.filter((way) => isPeer(way) && !row.informationOnly?.includes(way)).map((way) => values[way])),
    bestPeer && against[bestPeer] ? `${comparisonText(against[bestPeer])} ${table.ways[bestPeer] ?? bestPeer}` : '',
    against.haproxy ? comparisonText(against.haproxy) : '',
  ])
  return [
    `### ${table.title}`,
    table.about,
    grid(head, rows),
    ...(ways.includes('ssh')
      ? ['Where connections are new ones, ssh -L is shown for information: it makes no handshake for them.']
      : []),
  ].join('\n\n')
}

/** How far the rounds of one of them lie from their median at most, in per cent of it; empty where nothing is known of any. */
function noiseText(spreads: readonly (Spread | undefined)[]): string {
  const noises = spreads.flatMap((spread) => {
    if (!spread || spread.n < 2 || spread.median === 0) return []
    const furthest = Math.max(spread.max - spread.median, spread.median - spread.min)
    return [furthest / Math.abs(spread.median)]
  })
  return noises.length === 0 ? '' : `±${Math.round(Math.max(...noises) * 100)} %`
}

const digitsOf = (row: Row): number => row.digits

function comparisonText({ kind, median, min, max, n }: Comparison): string {
  const text = kind === 'ratio' ? (value: number) => value.toFixed(2) : (value: number) => signed(Math.round(value))
  return n > 1 ? `${text(median)} [${text(min)} … ${text(max)}]` : text(median)
}

const signed = (value: number): string => (value < 0 ? `−${-value}` : `+${value}`)

const TABLE_NAMES: Record<TableId, string> = {
  gateway: 'gateway',
  'whole-way': 'whole way',
  'proxy-tax': 'proxy tax',
  neighbours: 'neighbours',
}

function targetText(verdicts: readonly Verdict[]): string {
  return grid(
    ['target', 'table', 'measured', ''],
    verdicts.map(({ what, table, value, isMet }) => [
      what,
      TABLE_NAMES[table],
      value === undefined ? '' : value.toFixed(Math.abs(value) < 10 ? 2 : 0),
      isMet === undefined ? 'not measured' : isMet ? 'met' : 'NOT met',
    ]),
  )
}

/** A Markdown table whose columns stand below each other, as prettier has them. */
function grid(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, at) =>
    Math.max(3, ...[title, ...rows.map((row) => row[at] ?? '')].map((text) => text.length)),
  )
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, at) => (cells[at] ?? '').padEnd(width)).join(' | ')} |`
  return [line(head), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...rows.map(line)].join('\n')
}
