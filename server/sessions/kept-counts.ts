// What the live sessions have moved, written into their rows now and then, all that moved in one statement: a crash of the server loses
// the counts since the last time, and no more (S9). The end of a session writes its own. Called by reaper.ts.
import { sql, type Kysely } from 'kysely'
import type { Tables } from '../store/schema.ts'
import { viewOf, type Clocks, type Live } from './live-session.ts'

/** Rows of one statement: seven values each, well under the parameters that SQLite and PostgreSQL take. */
const ROWS_AT_ONCE = 200

export interface KeptCounts {
  /** Writes what moved since the last time. Rejects with the store's error; it is written the next time then. */
  keep(): Promise<void>
}

export function createKeptCounts({
  db,
  living,
  ...clocks
}: Clocks & { db: Kysely<Tables>; living: () => Iterable<Live> }): KeptCounts {
  /** What was written last, as text. */
  const kept = new WeakMap<Live, string>()

  return {
    async keep() {
      const moved = [...living()].flatMap((live) => {
        if (live.ended) return []
        const { lastStatementAt, lastActivityAt, ...counts } = viewOf(live, clocks)
        const { connectionsTotal, bytesFromClient, bytesToClient, statements } = counts
        const told = [connectionsTotal, bytesFromClient, bytesToClient, statements]
        if (kept.get(live) === told.join()) return []
        const times = [lastActivityAt.toISOString(), lastStatementAt?.toISOString() ?? null]
        return [{ live, told: told.join(), values: [live.id, ...told.map(String), ...times] }]
      })
      for (let first = 0; first < moved.length; first += ROWS_AT_ONCE) {
        const some = moved.slice(first, first + ROWS_AT_ONCE)
        const rows = sql.join(some.map(({ values }) => sql`(${sql.join(values)})`))
        // Both databases name the columns of VALUES so. One that ends meanwhile has its own counts, which stay.
        await sql`
          update sessions set
            connections_total = cast(v.column2 as bigint), bytes_from_client = cast(v.column3 as bigint),
            bytes_to_client = cast(v.column4 as bigint), statements = cast(v.column5 as bigint),
            last_activity_at = v.column6, last_statement_at = v.column7
          from (values ${rows}) as v
          where sessions.id = v.column1 and sessions.state <> 'ended'`.execute(db)
        for (const { live, told } of some) kept.set(live, told)
      }
    },
  }
}
