// How long a gateway is away when the core is killed, and when the access server is killed and started again: from SIGKILL to the
// first row through the same port. A terminal holds the gateway. Run by hand: `node tests/bench/back-after-a-crash.ts [--rounds 5]`;
// prints one JSON object, times in ms. Judges nothing.
import { once } from 'node:events'
import { loadavg } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { connectToCore } from '../../client/connect.ts'
import { startCluster } from '../support/cluster.ts'
import { percentile } from '../support/interface-probe.ts'
import { LightClient } from '../support/light-client.ts'

const RUNNING = 30

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '5' } } })
const rounds = Number(values.rounds)
await using stack = new AsyncDisposableStack()
const cluster = await startCluster()
stack.defer(() => cluster.close())
let port = 0

const connect = (sql: string): LightClient =>
  new LightClient({ port, account: 'reader', database: 'postgres', name: 'bench', sql, isEager: false })

/** Tries until a row comes. */
async function untilServed(): Promise<void> {
  for (;;) {
    const client = connect('select 1')
    const { kind } = await client.outcome
    client.end()
    if (kind === 'value') return
    await delay(5)
  }
}

/** Statements that run while it happens. */
async function withLoad(crash: () => Promise<void>): Promise<number> {
  const running = Array.from({ length: RUNNING }, () => connect('select pg_sleep(30)'))
  await untilServed()
  const startedAt = performance.now()
  await crash()
  await untilServed()
  const ms = performance.now() - startedAt
  await Promise.all(running.map(({ outcome }) => outcome))
  return ms
}

const corePid = async (home: string): Promise<number> => {
  const core = await connectToCore({ home, kind: 'terminal', canAsk: false, appVersion: 'bench', start: false })
  await core.close()
  return core.core.pid
}
const summary = (times: readonly number[]) => ({
  rounds: times.length,
  p50: Math.round(percentile(times, 0.5)),
  max: Math.round(percentile(times, 1)),
})

const core: number[] = []
const server: number[] = []
const serverStart: number[] = []
for (let round = 0; round < rounds; round++) {
  // A home for each round: a terminal tries more and more slowly to get a core back that keeps ending.
  const home = await cluster.newHome()
  await cluster.login(home)
  port = (await cluster.open(home, 'orders')).port
  const pid = await corePid(home)
  core.push(await withLoad(() => Promise.resolve(void process.kill(pid, 'SIGKILL'))))
  server.push(
    await withLoad(async () => {
      await cluster.server().stop('SIGKILL')
      const startedAt = performance.now()
      await cluster.startServer()
      serverStart.push(performance.now() - startedAt)
    }),
  )
}
const result = {
  unit: 'ms',
  load1: Math.round((loadavg()[0] ?? 0) * 10) / 10,
  coreKilled: summary(core),
  serverKilled: { ...summary(server), ofWhichItsStart: summary(serverStart) },
}
if (!process.stdout.write(`${JSON.stringify(result, null, 2)}\n`)) await once(process.stdout, 'drain')
