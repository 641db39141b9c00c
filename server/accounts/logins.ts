// Logins: opens one after its proofs, ends one or all of a person. Called by the web API. A login is a row; its
// certificate, its routes and their sessions live no longer than it.
import { randomUUID, type KeyObject } from 'node:crypto'
import type { LoginRequest, LoginResponse, SetupRequest, SsoFinishRequest } from '../../shared/login-api.ts'
import { PosternError } from '../../shared/errors.ts'
import type { Authority } from '../ca/authority.ts'
import { parseCsr } from '../ca/csr.ts'
import type { MasterKey } from '../secrets/master-key.ts'
import type { Clock, ControlHub, SessionControl, TransactionalAuditLog } from '../seams.ts'
import type { SsoLogins } from '../sso/sso-logins.ts'
import type { Db } from '../store/store.ts'
import { holdPerson } from './hold-person.ts'
import { hashPassword } from './password.ts'
import type { Peer } from './peer.ts'
import { provePassword, proveTotp } from './proof.ts'
import type { RateLimit } from './rate-limit.ts'
import { consumeSetupCode, isSetupPending } from './setup-code.ts'

export type LoginsOptions = {
  db: Db
  masterKey: MasterKey
  authority: Authority
  rateLimit: RateLimit
  /** Undefined: this cluster has no identity provider. */
  sso: SsoLogins | undefined
  sessions: SessionControl
  control: Pick<ControlHub, 'loginEnded'>
  audit: TransactionalAuditLog
  cluster: string
  /** Longest life of a login, in ms. */
  userTtlMs: number
  now: Clock
}

/** What a login answers, without the server time that the API adds. */
export type OpenedLogin = Omit<LoginResponse, 'serverTime'>

export type RenewedLogin = Pick<LoginResponse, 'certificate' | 'expiresAt'>

export interface Logins {
  /** @throws PosternError `bad_request`, `rate_limited`, `bad_credentials`, `user_disabled`, `totp_required`, `totp_invalid` */
  logIn(request: LoginRequest, peer: Peer): Promise<OpenedLogin>
  /**
   * A login that was given at the identity provider; its second factor is the provider's business.
   * @throws PosternError `bad_request`, `rate_limited`, `unsupported` without a provider, and what SsoLogins.finish throws
   */
  logInWithSso(request: SsoFinishRequest, peer: Peer): Promise<OpenedLogin>
  /** The first administrator. @throws PosternError `bad_request`, `rate_limited`, `setup_code_invalid`, `conflict` */
  setUp(request: SetupRequest, peer: Peer): Promise<OpenedLogin>
  /**
   * The same login on another key, signed by the CA that signs now (C7).
   * @throws PosternError `bad_request` for a request that is none
   */
  renewCertificate(
    login: { user: string; loginId: string; loginEndsAt: Date },
    csr: string,
    peer: Peer,
  ): Promise<RenewedLogin>
  /** Ends one login, or with `everywhere` all of the person's; their sessions are over when it resolves (S8). */
  logOut(user: string, loginId: string, everywhere: boolean): Promise<void>
}

export function createLogins(options: LoginsOptions): Logins {
  const { db, authority, rateLimit, sessions, control, audit, cluster, now } = options

  /** Makes the login's row and certificate, unless the person was disabled since their proofs were looked at. Times are whole seconds, as in the certificate. */
  async function open(
    trx: Db,
    { name }: { name: string },
    publicKey: KeyObject,
    ttlMs: number,
    peer: Peer,
  ): Promise<OpenedLogin> {
    const person = await holdPerson(trx, name)
    if (!person) throw new PosternError('bad_credentials', `the account ${name} was removed at this moment`)
    if (person.disabled !== 0)
      throw new PosternError('user_disabled', `the account ${name} is disabled; ask an administrator of the cluster`)
    const loginId = randomUUID()
    const start = now()
    const end = new Date(Math.floor((start.getTime() + ttlMs) / 1000) * 1000)
    const certificate = authority.issueUserCertificate({ kind: 'user', cluster, user: name, loginId }, publicKey, end)
    await trx
      .insertInto('logins')
      .values({
        id: loginId,
        user_name: name,
        address: peer.address,
        created_at: start.toISOString(),
        expires_at: end.toISOString(),
        ended_at: null,
        ended_reason: null,
        ca_id: certificate.caId,
      })
      .execute()
    return {
      cluster,
      user: name,
      level: person.level,
      loginId,
      certificate: certificate.pem,
      expiresAt: certificate.notAfter.toISOString(),
      cas: [...authority.serverCaPems],
    }
  }

  /** Audits how an attempt ended; the failed ones with the name as it was typed. */
  async function audited(user: string | undefined, peer: Peer, how: string, attempt: () => Promise<OpenedLogin>) {
    let opened: OpenedLogin
    try {
      opened = await attempt()
      audit.record({
        event: 'login.succeeded',
        user: opened.user,
        login: opened.loginId,
        address: peer.address,
        detail: { how, expiresAt: opened.expiresAt },
      })
    } catch (error) {
      const code = error instanceof PosternError ? error.code : 'internal'
      const person = user === undefined ? personOf(error) : undefined
      const detail = { how, code, ...(person === undefined ? {} : { person }) }
      audit.record({ event: 'login.failed', user, address: peer.address, detail })
      throw error
    }
    // Nobody gets a certificate that the log does not know of (R5): a store that refuses it refuses the login.
    await audit.flush()
    return opened
  }

  return {
    async logIn(request, peer) {
      // Format first: a broken request must not use up a code or count as a wrong password.
      const publicKey = parseCsr(request.csr)
      const ttlMs = Math.min((request.ttlSeconds ?? Infinity) * 1000, options.userTtlMs)
      return audited(request.user, peer, 'password', () =>
        rateLimit.attempt(request.user, peer.host, async () => {
          const user = await provePassword(db, request.user, request.password)
          return db.transaction().execute(async (trx) => {
            await proveTotp(trx, options.masterKey, user, request.totp, now())
            return open(trx, user, publicKey, ttlMs, peer)
          })
        }),
      )
    },

    async logInWithSso(request, peer) {
      const publicKey = parseCsr(request.csr)
      const ttlMs = Math.min((request.ttlSeconds ?? Infinity) * 1000, options.userTtlMs)
      return audited(undefined, peer, 'sso', () =>
        rateLimit.attempt(undefined, peer.host, async () => {
          if (!options.sso) throw noProvider()
          const user = await options.sso.finish(request)
          return db.transaction().execute((trx) => open(trx, user, publicKey, ttlMs, peer))
        }),
      )
    },

    async setUp(request, peer) {
      const publicKey = parseCsr(request.csr)
      return audited(request.user, peer, 'setup code', () =>
        rateLimit.attempt(undefined, peer.host, async () => {
          if (!(await isSetupPending(db)))
            throw new PosternError('setup_code_invalid', 'the setup code was used already; log in with your password')
          // Before the transaction: hashing takes long, and SQLite has one writer.
          const passwordHash = await hashPassword(request.password)
          return db.transaction().execute(async (trx) => {
            if (!(await consumeSetupCode(trx, request.setupCode)))
              throw new PosternError('setup_code_invalid', 'wrong setup code; `postern server init` printed it')
            const admin = { name: request.user, level: 'admin' as const }
            const { numInsertedOrUpdatedRows } = await trx
              .insertInto('users')
              .values({
                ...admin,
                email: null,
                disabled: 0,
                password_hash: passwordHash,
                totp_sealed: null,
                totp_pending_sealed: null,
                totp_last_step: 0,
                created_at: now().toISOString(),
              })
              .onConflict((conflict) => conflict.column('name').doNothing())
              .executeTakeFirstOrThrow()
            if (numInsertedOrUpdatedRows !== 1n)
              throw new PosternError('conflict', `there is a person ${request.user} already; choose another name`)
            return open(trx, admin, publicKey, options.userTtlMs, peer)
          })
        }),
      )
    },

    async renewCertificate({ user, loginId, loginEndsAt }, csr, peer) {
      const { pem, notAfter, caId } = authority.issueUserCertificate(
        { kind: 'user', cluster, user, loginId },
        parseCsr(csr),
        loginEndsAt,
      )
      audit.record({ event: 'login.renewed', user, login: loginId, address: peer.address, detail: { ca: caId } })
      await audit.flush()
      return { certificate: pem, expiresAt: notAfter.toISOString() }
    },

    async logOut(user, loginId, everywhere) {
      const which = { user, ...(everywhere ? {} : { loginId }) }
      const ended = await audit.transaction(
        (trx) => endLogins(trx, which, 'logout', now()),
        (ids) => ids.map((login) => ({ event: 'login.ended', user, login, detail: { reason: 'logout', everywhere } })),
      )
      for (const id of ended) control.loginEnded(id, 'logout')
      // The kill does not wait for the log, the answer waits for both.
      await Promise.all([...ended.map((id) => sessions.endLogin(id, 'revoked', user)), audit.flush()])
    },
  }
}

/** Where a cluster has no identity provider. */
export const noProvider = (): PosternError =>
  new PosternError('unsupported', 'this cluster has no single sign-on; log in with a password')

/** What the identity provider called somebody who was refused here. */
function personOf(error: unknown): string | undefined {
  const detail = error instanceof PosternError ? error.detail : undefined
  if (typeof detail !== 'object' || detail === null || !('person' in detail)) return undefined
  return typeof detail.person === 'string' ? detail.person : undefined
}

/** Marks the person's running logins (or the one named) as ended; their ids. Sessions are the caller's next step (S8). */
export async function endLogins(
  db: Db,
  which: { user: string; loginId?: string },
  reason: string,
  now: Date,
): Promise<string[]> {
  let update = db
    .updateTable('logins')
    .set({ ended_at: now.toISOString(), ended_reason: reason })
    .where('user_name', '=', which.user)
    .where('ended_at', 'is', null)
  if (which.loginId !== undefined) update = update.where('id', '=', which.loginId)
  return (await update.returning('id').execute()).map((row) => row.id)
}
