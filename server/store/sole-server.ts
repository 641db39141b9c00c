// One access server uses a PostgreSQL store at a time: it keeps what is alive in memory, and a second one would end its sessions as
// left over. An advisory lock of the database, held by a connection of its own, says so to whoever starts next; it falls with the
// connection, however the server dies. A SQLite store lies in a data directory, whose lock does the same. Called by start.ts.
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Logger } from 'pino'
import { PosternError } from '../../shared/errors.ts'
import { cannotOpen, describeStore, type StoreLocation } from './store.ts'

/** Any number would do; it is the same in all versions. Text: it does not fit a JavaScript number. */
const LOCK = '7957622061487551827'
/** A server that was killed a moment ago is gone from PostgreSQL within this time, in ms. */
const PATIENCE_MS = 5000
const CONNECT_TIMEOUT_MS = 10_000
/** How long PostgreSQL may take to answer on this connection, in ms. */
const ANSWER_TIMEOUT_MS = 15_000
/** How often the connection is used, in ms: one that is dead without an end shows by its silence. */
const LOOK_MS = 30_000
/** How often a lost connection is tried again, in ms. */
const RETRY_MS = 1000

export type SoleServerOptions = {
  /** Another server has taken the store over while the connection was lost: this one must stop. */
  onTakenOver: (why: string) => void
  log: Logger
  /** Shorter in tests, in ms. */
  patienceMs?: number
}

/**
 * Takes the store for this process.
 * @returns what gives it back
 * @throws PosternError `conflict` if another server uses it, `misconfigured` if the store cannot be reached
 */
export async function takeStore(location: StoreLocation, options: SoleServerOptions): Promise<() => Promise<void>> {
  if (location.kind === 'sqlite') return () => Promise.resolve()
  const { onTakenOver, log, patienceMs = PATIENCE_MS } = options
  /** By this the server knows its own lock on a connection that PostgreSQL has not given up yet. */
  const name = `postern server ${randomBytes(4).toString('hex')}`
  const released = new AbortController()

  let client = await connect(location, name).catch((cause: unknown) => {
    throw cannotOpen(location, cause)
  })
  try {
    const holder = await lock(client, patienceMs)
    if (holder)
      throw new PosternError(
        'conflict',
        `another access server uses the store (${describeStore(location)}), connected from ${holder.address} since ${holder.since}: stop that one first; only one may run on a store`,
      )
  } catch (error) {
    await client.end()
    throw error instanceof PosternError ? error : cannotOpen(location, error)
  }

  const isReleased = (): boolean => released.signal.aborted

  /** Waits for the end of the connection that holds it, and takes it again, until it is given back or taken over. */
  async function keep(): Promise<void> {
    while (!isReleased()) {
      await endOf(client, released.signal)
      if (isReleased()) return
      log.warn('the connection that holds the store for this server broke')
      while (!isReleased() && !(await takeAgain()))
        await delay(RETRY_MS, undefined, { signal: released.signal, ref: false }).catch(() => undefined)
    }
  }

  /** @returns whether it is held again */
  async function takeAgain(): Promise<boolean> {
    let next: pg.Client | undefined
    try {
      next = await connect(location as PostgresLocation, name)
      const holder = await lock(next, patienceMs)
      if (!holder) {
        client = next
        log.info('the store is held for this server again')
        return true
      }
      // Our own, on the connection that broke: PostgreSQL has not noticed yet.
      if (holder.name === name) await next.query('select pg_terminate_backend($1)', [holder.pid])
      else {
        onTakenOver(`another access server, connected from ${holder.address}, has taken the store over`)
        released.abort()
      }
    } catch (error) {
      log.warn({ err: error }, 'the store cannot be held for this server yet')
    }
    await next?.end().catch(() => undefined)
    return false
  }

  const keeping = keep()
  return async () => {
    released.abort()
    // It may be taking the store again at this moment, on another connection.
    await keeping
    await client.end()
  }
}

/** Resolves when the connection is over, or nobody needs it any more; looks at it now and then. */
async function endOf(client: pg.Client, released: AbortSignal): Promise<void> {
  const over = Promise.withResolvers<undefined>()
  const done = () => over.resolve(undefined)
  client.once('end', done)
  released.addEventListener('abort', done, { once: true })
  if (released.aborted) done()
  const look = setInterval(() => void client.query('select 1').catch(() => client.end().then(done, done)), LOOK_MS)
  look.unref()
  await over.promise
  clearInterval(look)
  released.removeEventListener('abort', done)
}

type PostgresLocation = Extract<StoreLocation, { kind: 'postgres' }>
type Holder = { pid: number; name: string; address: string; since: string }

async function connect({ url }: PostgresLocation, name: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    application_name: name,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: ANSWER_TIMEOUT_MS,
  })
  // Breaks show as the end of the connection.
  client.on('error', () => undefined)
  await client.connect().catch(async (error: unknown) => {
    await client.end().catch(() => undefined)
    throw error
  })
  // PostgreSQL notices a machine that vanished: another one may take over half a minute later.
  await client.query('set tcp_keepalives_idle = 15; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3')
  return client
}

/** @returns who has it; undefined: this connection has it now */
async function lock(client: pg.Client, patienceMs: number): Promise<Holder | undefined> {
  try {
    await client.query(`set lock_timeout = ${patienceMs}; select pg_advisory_lock(${LOCK})`)
    return undefined
  } catch (error) {
    // lock_not_available (PostgreSQL, appendix A)
    if (!(error instanceof pg.DatabaseError) || error.code !== '55P03') throw error
  }
  const { rows } = await client.query<Holder>(
    `select pid, application_name as name, coalesce(host(client_addr), 'the same machine') as address,
       to_char(backend_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as since
     from pg_locks join pg_stat_activity using (pid)
     where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database())
       and classid = (${LOCK} >> 32)::int8::oid and objid = (${LOCK} & 4294967295)::oid`,
  )
  return rows[0] ?? { pid: 0, name: '', address: 'somewhere', since: 'a moment ago' }
}
