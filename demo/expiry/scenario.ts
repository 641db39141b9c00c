// The scenario that must always be beautiful, played with real psql clients: a login expires under four gateways, 20 psql are
// held, one login is asked for and given, all print their rows, and what was running has not noticed. Used by main.ts.
import { setTimeout as delay } from 'node:timers/promises'
import { connectToCore, type CoreConnection } from '../../client/connect.ts'
import { PosternError } from '../../shared/errors.ts'
import type { GatewayView, LoginPrompt } from '../../shared/rpc.ts'
import { readVersion, type RunningDemo } from '../start-demo.ts'
import { askDirectly, holdLocks } from './direct-postgres.ts'
import { endOf, judgeBusy, judgeHeld, nameOf, type Client } from './judge.ts'
import { startPsql, type Psql } from './psql-clients.ts'
import type { ExpiryReport } from './report.ts'

const PERSON = 'alice'
const GATEWAYS = [
  { resource: 'orders', account: 'reader' },
  { resource: 'orders', account: 'writer' },
  { resource: 'playground', account: 'reader' },
  { resource: 'playground', account: 'writer' },
] as const
const HELD_CLIENTS = 20
/** How long the login lives that is going to expire, in seconds. */
const SHORT_LOGIN_S = 4
/** What a person needs to read the question and type a password, in ms. */
const TYPING_MS = 1000
/** No step takes that long unless something hangs, in ms. */
const STEP_DEADLINE_MS = 60_000
const POLL_MS = 25
/** The running statements end when this advisory lock of their database is let go. */
const LOCK = 20

/**
 * One statement that sends a row every 200 ms until the lock is free. PostgreSQL sends what fills its buffer of 8 kB, so a row
 * is that long.
 */
const BUSY_SQL = `copy (
  with recursive beat(n) as (
    select 1 union all
    select n + 1 from beat where not pg_try_advisory_lock_shared(${LOCK}) and pg_sleep(0.2) is not null
  ) select n, repeat('.', 8192) from beat
) to stdout`

/** A statement of its own for each psql, so that nobody can get another's rows unseen. */
const sqlOf = (resource: string, at: number): string =>
  resource === 'orders'
    ? `select id, status, total from orders where id % 100 = ${at} order by id limit ${3 + (at % 5)}`
    : `select id, text, ${at} as asked_by from notes order by id`

export type Scenario = {
  demo: RunningDemo
  home: string
  psql: string
  env: NodeJS.ProcessEnv
  /** Tells a step as it happens. */
  say: (text: string, details?: string[]) => void
  signal: AbortSignal
}

/**
 * Plays it. Every psql has ended when it resolves or rejects.
 * @throws PosternError `internal` naming the step that did not come in time; the signal's reason if that aborts
 */
export async function playScenario(scenario: Scenario): Promise<ExpiryReport> {
  await using stack = new AsyncDisposableStack()
  // However it ends: no psql outlives it.
  const over = new AbortController()
  const clients: Psql[] = []
  stack.defer(async () => {
    over.abort()
    await Promise.all(clients.map(({ ended }) => ended))
  })
  const signal = AbortSignal.any([scenario.signal, over.signal])
  const { say, demo } = scenario
  const password = demo.state.people.find(({ name }) => name === PERSON)?.password ?? ''

  const core = await connectToCore({
    home: scenario.home,
    kind: 'terminal',
    canAsk: true,
    appVersion: readVersion(),
    signal,
  })
  stack.defer(() => core.close())
  const asked: LoginPrompt[] = []
  core.on('login.requested', (prompt) => asked.push(prompt))
  core.on('login.needed', (prompt) => asked.push(prompt))

  await core.call('login.submit', { user: PERSON, password }, { signal })
  const gateways = await openGateways(core, signal)
  say(
    `${PERSON} signs in and opens ${gateways.length} gateways`,
    gateways.map((gateway) => `${nameOf(gateway).padEnd(22)}${gateway.host}:${gateway.port}`),
  )

  const locks = await holdLocks(demo.postgres, LOCK, [...new Set(gateways.map(({ database }) => database))])
  stack.defer(() => locks.release())
  const start = (name: string, gateway: GatewayView, sql: string): Client => {
    const { psql: program, env } = scenario
    const psql = startPsql({ program, name, url: gateway.url, sql, env, signal })
    clients.push(psql)
    return { name, gateway, sql, psql }
  }
  const busy = gateways.map((gateway, at) => start(`busy-${at + 1}`, gateway, BUSY_SQL))
  await until('the running statements send rows', signal, () => busy.every(({ psql }) => psql.rowCount > 1))
  say(`${busy.length} psql are at work, one on each gateway: a statement that sends a row every 200 ms`)

  await core.call('login.submit', { user: PERSON, password, ttlSeconds: SHORT_LOGIN_S }, { signal })
  say(`${PERSON} signs in anew, for ${SHORT_LOGIN_S} s only`)
  const states = async () => (await core.call('gateway.list', {}, { signal })).gateways
  await until('the login expires', signal, async () => (await states()).every(({ state }) => state === 'needs login'))
  const expired = await states()
  say(`the login has expired, and with it the certificates of all ${gateways.length} gateways`)

  const held: Client[] = []
  for (const [at, gateway] of inTurn(gateways, HELD_CLIENTS).entries()) {
    held.push(start(`psql-${String(at + 1).padStart(2, '0')}`, gateway, sqlOf(gateway.resource, at)))
    // Starting a program holds this process up: what the others print meanwhile is looked at in between.
    await delay(0, undefined, { signal })
  }
  say(`${held.length} psql start, ${held.length / gateways.length} on each gateway`)
  let heldTogether = 0
  await until('all psql are held', signal, async () => {
    heldTogether = Math.max(
      heldTogether,
      (await states()).reduce((sum, { waiting }) => sum + waiting, 0),
    )
    return heldTogether >= held.length || held.some(({ psql }) => psql.isOver)
  })
  const refused = held.filter(({ psql }) => psql.isOver).length
  say(`${heldTogether} are held, ${refused === 0 ? 'none' : refused} refused; the ${busy.length} at work go on`)

  await until('the login is asked for', signal, () => asked.length > 0)
  const [prompt] = asked
  if (prompt?.reason.kind === 'connection') {
    const { client, resource, account } = prompt.reason
    say('one login is asked for, for all of them', [
      `"Your login to ${prompt.profile} has expired: ${client ?? 'a program'} wants ${resource} as ${account}"`,
    ])
  }
  await typePassword(core, prompt, password, signal)
  say(`${PERSON} has typed the password: the login succeeds, the certificates are swapped`)

  const ends = await Promise.all(held.map(({ psql }) => within('the held psql print their rows', psql.ended, signal)))
  const served = ends.filter(({ problem }) => problem === null).length
  say(`${served} of ${held.length} psql have printed their rows`)
  const after = await states()
  // Seen over the whole wait and a moment longer.
  await until('the running statements go on', signal, () => {
    const before = busy.map(({ psql }) => psql.rowCount)
    return delay(500, undefined, { signal }).then(() =>
      busy.every(({ psql }, at) => psql.isOver || psql.rowCount > (before[at] ?? 0)),
    )
  })
  const overTooSoon = busy.filter(({ psql }) => psql.isOver)
  await locks.release()
  const busyEnds = await Promise.all(busy.map(({ psql }) => within('the running statements end', psql.ended, signal)))
  say('the statements that ran all the time come to their end')

  const expected = await Promise.all(held.map(({ gateway, sql }) => askDirectly(demo.postgres, gateway.database, sql)))
  return {
    held: held.map((client, at) => judgeHeld(client, endOf(ends, at), expected[at] ?? [])),
    busy: busy.map((client, at) => judgeBusy(client, endOf(busyEnds, at), overTooSoon.includes(client))),
    heldTogether,
    loginRequests: new Set(asked.map(({ requestId }) => requestId)).size,
    freshCertificates: after.filter(({ state, certificateExpiresAt }, at) => {
      const isAnother = certificateExpiresAt !== null && certificateExpiresAt !== expired[at]?.certificateExpiresAt
      return state === 'listening' && isAnother
    }).length,
    gateways: gateways.length,
  }
}

async function openGateways(core: CoreConnection, signal: AbortSignal): Promise<GatewayView[]> {
  const gateways: GatewayView[] = []
  for (const wanted of GATEWAYS)
    gateways.push((await core.call('gateway.open', { ...wanted, keep: 'attached' }, { signal })).gateway)
  return gateways
}

/** As many as wanted, one gateway after the other. */
const inTurn = (gateways: readonly GatewayView[], count: number): GatewayView[] =>
  Array.from({ length: count }, (_, at) => gateways[at % gateways.length]).filter((gateway) => gateway !== undefined)

/** As a person does it: begins to fill it in, and sends it a moment later. */
async function typePassword(
  core: CoreConnection,
  prompt: LoginPrompt | undefined,
  password: string,
  signal: AbortSignal,
): Promise<void> {
  const requestId = prompt?.requestId
  if (requestId !== undefined) await core.call('login.touch', { requestId }, { signal })
  await delay(TYPING_MS, undefined, { signal })
  await core.call(
    'login.submit',
    { user: PERSON, password, ...(requestId === undefined ? {} : { requestId }) },
    { signal },
  )
}

async function until(what: string, signal: AbortSignal, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + STEP_DEADLINE_MS
  while (!(await holds())) {
    if (performance.now() > deadline) throw late(what)
    await delay(POLL_MS, undefined, { signal })
  }
}

async function within<T>(what: string, wait: Promise<T>, signal: AbortSignal): Promise<T> {
  const over = new AbortController()
  const tooLong = delay(STEP_DEADLINE_MS, undefined, { signal: AbortSignal.any([signal, over.signal]) })
  try {
    return await Promise.race([
      wait,
      tooLong.then(() => {
        throw late(what)
      }),
    ])
  } finally {
    over.abort()
    tooLong.catch(() => undefined)
  }
}

const late = (what: string): PosternError =>
  new PosternError('internal', `not within ${STEP_DEADLINE_MS / 1000} s: ${what}`)
