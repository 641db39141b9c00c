// The rotation of the CAs (C7): `rotate` makes a new user CA and a new server CA, the old ones stay trusted; `finish` drops the
// old ones once nothing rests on them. Each is one transaction, then one publication to everything that runs. Called by the
// administration API.
import type { MasterKey } from '../secrets/master-key.ts'
import type { CaStatus } from '../../shared/admin-api.ts'
import type { TrustNews } from '../../shared/api.ts'
import { PosternError } from '../../shared/errors.ts'
import type { AuditEntry, Clock, TransactionalAuditLog } from '../seams.ts'
import type { Db } from '../store/store.ts'
import { fingerprintOf, type Authority } from './authority.ts'
import { crossSentUntil, makeCa, readCas, type Cas, type KnownCa } from './cas.ts'
import { openServerTls, type ServerTls } from './server-tls.ts'

export type RotationOptions = {
  db: Db
  /** Every change is one transaction with its records. */
  audit: Pick<TransactionalAuditLog, 'transaction'>
  masterKey: MasterKey
  authority: Authority
  cluster: string
  /** Names in the server's certificate. */
  serverNames: readonly string[]
  /** Brings the listeners that run, and whatever else shows the CAs, to the authority's present state. Must not fail. */
  publish: (material: ServerTls) => Promise<void>
  now: Clock
}

/** What rests on the old user CA. */
export type OnOldCa = CaStatus['onOldCa']

export type Rotated = { made: readonly KnownCa[]; old: readonly KnownCa[] }
export type Finished = { dropped: readonly KnownCa[]; endedLogins: { user: string; loginId: string }[] }
/** What the audit log says of a change, in the same transaction. */
type RecordsOf<T> = (outcome: T) => readonly AuditEntry[]

export interface CaRotation {
  status(): Promise<Omit<CaStatus, 'serverTime' | keyof TrustNews>>
  /** @throws PosternError `conflict` while a rotation goes on */
  rotate(recordsOf: RecordsOf<Rotated>): Promise<Rotated>
  /**
   * Drops the old CAs: trust and keys. The server's cross certificates are sent on, so that clients that were away find the
   * way; not after `force`, which is for keys that somebody else may have.
   * @param force although logins rest on them: those are ended; the caller ends their sessions
   * @throws PosternError `conflict` without a rotation, or while something rests on the old user CA (detail: how many)
   */
  finish(force: boolean, recordsOf: RecordsOf<Finished>): Promise<Finished>
}

export function createCaRotation(options: RotationOptions): CaRotation {
  const { db, audit, masterKey, authority, cluster, now } = options

  /** One change at a time: what is published last is what was committed last. */
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(change: () => Promise<T>): Promise<T> => {
    const turn = last.then(change)
    last = turn.catch(() => undefined)
    return turn
  }

  /** Runs a change of the CAs in a transaction; what it leads to is built whole before it is committed, published after. */
  const change = <T>(recordsOf: RecordsOf<T>, work: (trx: Db, before: Cas) => Promise<T>): Promise<T> =>
    inTurn(async () => {
      const { result, cas, material } = await audit.transaction(
        async (trx) => {
          const result = await work(trx, await readCas(trx, masterKey))
          const cas = await readCas(trx, masterKey)
          const tls = { db: trx, masterKey, now, ca: cas.server, names: options.serverNames }
          return { result, cas, material: await openServerTls(tls) }
        },
        ({ result }) => recordsOf(result),
      )
      authority.publish(cas)
      await options.publish(material)
      return result
    })

  return {
    async status() {
      const { user, server, old } = authority.cas
      const view = (ca: KnownCa, use: 'signs' | 'trusted'): CaStatus['authorities'][number] => ({
        kind: ca.kind,
        id: ca.id,
        fingerprint: fingerprintOf(ca.certificate),
        createdAt: ca.createdAt.toISOString(),
        expiresAt: ca.certificate.validToDate.toISOString(),
        use,
      })
      const [cross] = server.crossPems
      const sentUntil = cross === undefined ? undefined : crossSentUntil(cross)
      return {
        state: old.length === 0 ? 'idle' : 'rotating',
        authorities: [view(user, 'signs'), view(server, 'signs'), ...old.map((ca) => view(ca, 'trusted'))],
        onOldCa: await countOnOldCa(db, old, now()),
        crossUntil: sentUntil !== undefined && sentUntil > now() ? sentUntil.toISOString() : null,
      }
    },

    rotate: (recordsOf) =>
      change(recordsOf, async (trx, before) => {
        if (before.old.length > 0)
          throw new PosternError(
            'conflict',
            'a rotation goes on already; `postern admin ca status` shows how far it is, `postern admin ca finish` ends it',
          )
        for (const { id, kind } of [before.user, before.server]) {
          // Two processes at once: the later one finds the row changed.
          const { numUpdatedRows } = await trx
            .updateTable('ca_keys')
            .set({ state: 'trusted' })
            .where('id', '=', id)
            .where('state', '=', 'active')
            .executeTakeFirstOrThrow()
          if (numUpdatedRows !== 1n) throw new PosternError('conflict', 'another rotation was begun at this moment')
          const predecessor = kind === 'server' ? { predecessor: before.server } : {}
          await makeCa(trx, masterKey, { kind, cluster, now: now(), ...predecessor })
        }
        const { user, server } = await readCas(trx, masterKey)
        return { made: [user, server], old: [before.user, before.server] }
      }),

    finish: (force, recordsOf) =>
      change(recordsOf, async (trx, { old }) => {
        if (old.length === 0)
          throw new PosternError('conflict', 'no rotation goes on; `postern admin ca rotate` begins one')
        const onOldCa = await countOnOldCa(trx, old, now())
        if (!force && onOldCa.logins + onOldCa.routes > 0) throw stillInUse(onOldCa)
        const droppedAt = now().toISOString()
        for (const { id, kind, pem, createdAt } of old)
          await trx
            .insertInto('dropped_cas')
            .values({
              id,
              kind,
              certificate_pem: pem,
              created_at: createdAt.toISOString(),
              dropped_at: droppedAt,
            })
            .execute()
        await trx.deleteFrom('ca_keys').where('state', '=', 'trusted').execute()
        if (!force) return { dropped: old, endedLogins: [] }
        await trx.updateTable('ca_keys').set({ cross_pem: null }).execute()
        const ended = await trx
          .updateTable('logins')
          .set({ ended_at: droppedAt, ended_reason: 'ca dropped' })
          .where('ca_id', 'in', idsOf(old))
          .where('ended_at', 'is', null)
          .where('expires_at', '>', droppedAt)
          .returning(['id', 'user_name'])
          .execute()
        return { dropped: old, endedLogins: ended.map((row) => ({ user: row.user_name, loginId: row.id })) }
      }),
  }
}

/** Living logins whose certificate, and routes whose latest certificate, was signed by an old user CA and has not ended. */
async function countOnOldCa(db: Db, old: readonly KnownCa[], now: Date): Promise<OnOldCa> {
  if (old.length === 0) return { logins: 0, routes: 0 }
  const time = now.toISOString()
  const living = db.selectFrom('logins').where('logins.ended_at', 'is', null).where('logins.expires_at', '>', time)
  const { logins } = await living
    .where('logins.ca_id', 'in', idsOf(old))
    .select(({ fn }) => fn.countAll<number>().as('logins'))
    .executeTakeFirstOrThrow()
  const { routes } = await living
    .innerJoin('routes', 'routes.login_id', 'logins.id')
    .where('routes.ca_id', 'in', idsOf(old))
    .where('routes.certificate_ends_at', '>', time)
    .select(({ fn }) => fn.countAll<number>().as('routes'))
    .executeTakeFirstOrThrow()
  return { logins, routes }
}

const idsOf = (cas: readonly KnownCa[]): string[] => cas.map(({ id }) => id)

const stillInUse = (onOldCa: OnOldCa): PosternError =>
  new PosternError(
    'conflict',
    `${count(onOldCa.logins, 'login')} and ${count(onOldCa.routes, 'route')} still rest on the old user CA; they move over by ` +
      'themselves or end with their time. Try again later, or drop it under them with --force: then those people log in again',
    { detail: onOldCa },
  )

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`
