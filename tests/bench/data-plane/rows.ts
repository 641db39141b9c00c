// What the benchmark measures: its tables, their rows and the ways that are compared in them. Pure; the measuring is
// data-plane.ts and proxy-tax.ts, the reckoning statistics.ts, the words report.ts.

export type WayId =
  'direct' | 'postern' | 'postern-no-audit' | 'haproxy' | 'haproxy-128k' | 'stunnel' | 'ssh' | 'pgbouncer'
export type TableId = 'gateway' | 'whole-way' | 'proxy-tax' | 'neighbours'

export type Row = {
  id: string
  title: string
  unit: string
  better: 'higher' | 'lower'
  digits: number
  /** What is shown is the difference to `direct` of the same round. */
  isOverDirect?: boolean
  /** Ways that are shown and never are the best peer, with the reason below the table. */
  informationOnly?: readonly WayId[]
}

export type Table = {
  id: TableId
  title: string
  /** What the ways of this table are, for those who read it. */
  about: string
  ways: Partial<Record<WayId, string>>
  rows: readonly Row[]
}

/** One figure of one round, as it was measured (nothing subtracted). */
export type Sample = { table: TableId; row: string; way: WayId; round: number; value: number }

/** Neither Postern itself nor the way without anything in between. */
export const isPeer = (way: WayId): boolean => !way.startsWith('postern') && way !== 'direct'

const bulk = (id: string, title: string): Row[] => [
  { id, title, unit: 'MB/s', better: 'higher', digits: 0 },
  { id: `${id}-cpu`, title: `${title}: CPU`, unit: 's/GB', better: 'lower', digits: 2 },
]
const perConnection = { informationOnly: ['ssh'] } as const
const newConnections = (id: string, title: string): Row[] => [
  { id, title, unit: '1/s', better: 'higher', digits: 0, ...perConnection },
  { id: `${id}-cpu`, title: `${title}: CPU`, unit: 'ms each', better: 'lower', digits: 2, ...perConnection },
]

const ROWS: readonly Row[] = [
  ...bulk('up-1', 'upload, 1 connection'),
  ...bulk('up-8', 'upload, 8 connections'),
  ...bulk('down-1', 'download, 1 connection'),
  ...bulk('down-8', 'download, 8 connections'),
  {
    id: 'ping-p50',
    title: '1 byte there and back, added p50',
    unit: 'µs',
    better: 'lower',
    digits: 0,
    isOverDirect: true,
  },
  { id: 'ping-p99', title: '… added p99', unit: 'µs', better: 'lower', digits: 0, isOverDirect: true },
  ...newConnections('connect-1', 'new connections, 1 at a time'),
  ...newConnections('connect-32', 'new connections, 32 at once'),
  {
    id: 'first-byte-p50',
    title: 'first byte of a new connection, p50',
    unit: 'ms',
    better: 'lower',
    digits: 2,
    ...perConnection,
  },
  { id: 'first-byte-p99', title: '… p99', unit: 'ms', better: 'lower', digits: 2, ...perConnection },
  { id: 'idle', title: 'memory with 1,000 idle connections', unit: 'MiB', better: 'lower', digits: 0 },
]

const PGBENCH: readonly { id: string; title: string }[] = [
  ...[1, 8, 64].flatMap((clients) =>
    ['simple', 'prepared'].map((mode) => ({
      id: `${mode}-${clients}`,
      title: `${mode}, ${clients} client${clients === 1 ? '' : 's'}`,
    })),
  ),
  { id: 'reconnect-1', title: 'reconnecting, 1 client' },
  { id: 'reconnect-8', title: 'reconnecting, 8 clients' },
  { id: 'reconnect-64', title: 'reconnecting, 64 clients' },
]

/** p99 alone, p99 beside each, and how many times the one alone that is. */
function besideRows(id: string, title: string, neighbours: Record<string, string>): Row[] {
  const row = { unit: 'µs', better: 'lower', digits: 0 } as const
  return [
    { ...row, id: `${id}-alone`, title: `${title} alone, p99` },
    ...Object.entries(neighbours).flatMap(([neighbour, beside]): Row[] => [
      { ...row, id: `${id}-${neighbour}`, title: `… beside ${beside}` },
      {
        ...{ id: `${id}-${neighbour}-times`, unit: '× alone', better: 'lower', digits: 1 },
        title: `${title} beside ${beside}, p99`,
      },
    ]),
  ]
}

export const TABLES: readonly Table[] = [
  {
    id: 'gateway',
    title: 'The gateway',
    about:
      'Each gateway in front of the same upstream: TLS 1.3, mutual, ALPN, P-256, AES-128-GCM. Postern is the client core, in ' +
      'its own process, with a TLS connection for each client; ssh leads to an sshd before the same service without TLS.',
    ways: {
      direct: 'direct TLS',
      postern: 'Postern',
      haproxy: 'haproxy',
      'haproxy-128k': 'haproxy, 128 KiB buffers',
      stunnel: 'stunnel',
      ssh: 'ssh -L',
    },
    rows: ROWS,
  },
  {
    id: 'whole-way',
    title: 'The whole way',
    about:
      'Gateway → access server → plain TCP service: Postern’s core and access server (tcp engine, audit on) beside a pair of ' +
      'haproxies, one at each end of the same mutual TLS, and ssh with its sshd. CPU and memory are those of both ends. ' +
      '“Direct” has neither gateway nor TLS.',
    ways: { direct: 'direct TCP', postern: 'Postern', haproxy: 'haproxy pair', ssh: 'ssh -L + sshd' },
    rows: ROWS,
  },
  {
    id: 'proxy-tax',
    title: 'The proxy tax',
    about:
      'pgbench -S against one PostgreSQL. Postern is the whole way: gateway → TLS → access server with its PostgreSQL engine, ' +
      'which logs in at the target itself, → PostgreSQL. “No audit”: the same, but what the engine tells the audit is dropped ' +
      '(no setting does that). haproxy is the pair from above, pgbouncer speaks TLS with pgbench and pools sessions. ' +
      'CPU is that of all processes between pgbench and PostgreSQL.',
    ways: {
      direct: 'direct TLS',
      postern: 'Postern',
      'postern-no-audit': 'Postern, no audit',
      haproxy: 'haproxy pair',
      pgbouncer: 'pgbouncer + TLS',
      ssh: 'ssh -L + sshd',
    },
    rows: PGBENCH.flatMap(({ id, title }): Row[] => {
      const shown = id.startsWith('reconnect') ? perConnection : {}
      return [
        { id, title, unit: 'tps', better: 'higher', digits: 0, ...shown },
        { id: `${id}-p50`, title: '… p50', unit: 'µs', better: 'lower', digits: 0, ...shown },
        { id: `${id}-p99`, title: '… p99', unit: 'µs', better: 'lower', digits: 0, ...shown },
        { id: `${id}-cpu`, title: '… CPU', unit: 'µs/transaction', better: 'lower', digits: 0, ...shown },
      ]
    }),
  },
  {
    id: 'neighbours',
    title: 'Beside heavy neighbours',
    about:
      'Round trips of one connection while another one of the same way is as busy as it can be: one byte there and back beside a ' +
      'download and an upload (the ways of “The whole way”), and pgbench -S with one client beside a COPY out and in (the ways of ' +
      '“The proxy tax”; direct is TCP in the first, TLS in the second). What two busy cores cost anybody is what direct and ' +
      'haproxy show.',
    ways: { direct: 'direct', postern: 'Postern', haproxy: 'haproxy pair' },
    rows: [
      ...besideRows('ping', '1 byte there and back', { down: 'a download', up: 'an upload' }),
      ...besideRows('select', 'select', { 'copy-out': 'a COPY out', 'copy-in': 'a COPY in' }),
    ],
  },
]

export function tableOf(id: TableId): Table {
  const table = TABLES.find((one) => one.id === id)
  if (!table) throw new RangeError(`no table ${id}`)
  return table
}
