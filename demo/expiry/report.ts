// What the demonstration of an expiry has to show: its steps as they happen, a line a client, whether all of it went well.
// Used by main.ts (which prints) and scenario.ts (which finds out). Pure.

/** A psql that was started after the expiry: it had to wait for the login. */
export type HeldClient = {
  client: string
  gateway: string
  /** From its start to its end with the rows printed, in ms. */
  waitedMs: number
  rows: number
  /** Why it did not get exactly the rows that PostgreSQL has; null: it did. */
  problem: string | null
}

/** A psql with a statement that ran from before the expiry until after the login. */
export type BusyClient = {
  client: string
  gateway: string
  rows: number
  /** The longest time without a row, in ms; one is sent every 200 ms. */
  longestPauseMs: number
  problem: string | null
}

export type ExpiryReport = {
  held: HeldClient[]
  busy: BusyClient[]
  /** Most connections that waited at the same time. */
  heldTogether: number
  /** Login requests that the core put before a person after the expiry. */
  loginRequests: number
  /** Gateways whose certificate was another one after the login. */
  freshCertificates: number
  gateways: number
}

/** A line of the story; `details` are shown below it. */
export type Step = { atMs: number; text: string; details: string[] }

/** Everything that did not go as it should; empty: the demonstration succeeded. */
export function problemsOf(report: ExpiryReport): string[] {
  const { held, busy, heldTogether, loginRequests, freshCertificates, gateways } = report
  return [
    ...[...held, ...busy].flatMap(({ client, problem }) => (problem === null ? [] : [`${client}: ${problem}`])),
    ...(held.length === 0 ? ['no psql was started'] : []),
    ...(heldTogether === held.length ? [] : [`only ${heldTogether} of ${held.length} psql waited at the same time`]),
    ...(loginRequests === 1 ? [] : [`the login was asked for ${loginRequests} times, not once`]),
    ...(freshCertificates === gateways
      ? []
      : [`only ${freshCertificates} of ${gateways} gateways got a new certificate`]),
  ]
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

/** 1234 → "1,234 ms". */
const milliseconds = (ms: number): string => `${String(Math.round(ms)).replace(/\B(?=(\d{3})+$)/g, ',')} ms`

/** One step, when it happens. */
export const formatStep = ({ atMs, text, details }: Step): string =>
  [`${seconds(atMs).padStart(8)}  ${text}`, ...details.map((detail) => `${' '.repeat(12)}${detail}`)]
    .map((line) => `${line}\n`)
    .join('')

/** The table and the lines that sum it up. @param tookMs all in all */
export function formatReport(report: ExpiryReport, tookMs: number): string {
  const { held, busy } = report
  const problems = problemsOf(report)
  const served = held.filter(({ problem }) => problem === null)
  const waits = held.map(({ waitedMs }) => waitedMs)
  const undisturbed = busy.filter(({ problem }) => problem === null)
  const pause = Math.max(0, ...busy.map(({ longestPauseMs }) => longestPauseMs))
  const summary = [
    `${served.length} of ${held.length} psql got their rows after ${milliseconds(Math.min(...waits))} to ${milliseconds(Math.max(...waits))}; ${held.length - served.length} failed.`,
    `${report.loginRequests} login ${report.loginRequests === 1 ? 'was' : 'were'} asked for; ${report.freshCertificates} of ${report.gateways} certificates were swapped with it.`,
    `${undisturbed.length} of ${busy.length} running statements went on; the longest pause between two of their rows was ${milliseconds(pause)}.`,
  ]
  return [
    '',
    table(
      ['Client', 'Gateway', 'Waited', 'Rows', ''],
      held.map((one) => [
        one.client,
        one.gateway,
        milliseconds(one.waitedMs),
        String(one.rows),
        one.problem === null ? '' : 'failed',
      ]),
    ),
    '',
    table(
      ['Running all the time', 'Gateway', 'Longest pause', 'Rows', ''],
      busy.map((one) => [
        one.client,
        one.gateway,
        milliseconds(one.longestPauseMs),
        String(one.rows),
        one.problem === null ? '' : 'failed',
      ]),
    ),
    '',
    ...summary.map((line) => `  ${line}`),
    ...problems.map((problem) => `  Failed: ${problem}`),
    `  ${problems.length === 0 ? 'Nobody lost a query.' : 'The demonstration failed.'} It took ${seconds(tookMs)}; everything that was started has ended.`,
    '',
  ].join('\n')
}

/** Aligned columns; figures (the third and fourth column) to the right. */
function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = titles.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)))
  return [titles, ...rows]
    .map((row) => {
      const cells = row.map((cell, at) => {
        const width = widths[at] ?? 0
        return at === 2 || at === 3 ? cell.padStart(width) : cell.padEnd(width)
      })
      return `  ${cells.join('   ')}`.trimEnd()
    })
    .join('\n')
}
