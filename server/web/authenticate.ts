// Who sends this request, and may they? Asked before anything of the request is parsed (W2), for each request anew (C4).
// Called by web-app.ts.
import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { PermissionLevel } from '../../shared/api.ts'
import { PosternError } from '../../shared/errors.ts'
import { ALPN } from '../../shared/names.ts'
import type { Peer } from '../accounts/peer.ts'
import { requireLevel } from '../admin/permission.ts'
import type { Actor, ApiParts } from './endpoint.ts'

/**
 * The person behind the connection's user certificate.
 * @param options.allowExpired takes one that has run out, of a login that was not ended
 * @throws PosternError `login_required` without one; what AccessCheck.authenticateUser throws for a bad or expired one
 */
export async function authenticateRequest(
  { access, authority, db }: Pick<ApiParts, 'access' | 'authority' | 'db'>,
  socket: Socket,
  options: { allowExpired: boolean },
): Promise<Actor> {
  const certificate = socket instanceof TLSSocket ? certificateOf(socket) : undefined
  if (certificate === undefined)
    throw new PosternError(
      'login_required',
      `log in first: this needs a user certificate, on the ALPN name ${ALPN.control}`,
    )
  const { user, loginId } = await access.authenticateUser(certificate, options)
  const issuer = authority.issuerOf(certificate)
  const row = await db
    .selectFrom('logins')
    .innerJoin('users', 'users.name', 'logins.user_name')
    .select(['users.level', 'logins.expires_at', 'logins.ca_id'])
    .where('logins.id', '=', loginId)
    .executeTakeFirst()
  // Removed between the two questions.
  if (!row) throw new PosternError('login_expired', 'this login is not known to the server any more; log in again')
  // Not when a certificate is issued but when it is presented: only then it is sure that the person's machine has it (C7).
  if (issuer && issuer.id !== row.ca_id)
    await db.updateTable('logins').set({ ca_id: issuer.id }).where('id', '=', loginId).execute()
  const isOnOldCa = issuer?.standing !== 'signs'
  return { user, level: row.level, loginId, loginEndsAt: new Date(row.expires_at), isOnOldCa }
}

/** @throws PosternError `forbidden` */
export const authoriseRequest = (actor: Actor, level: PermissionLevel, what: string): void =>
  requireLevel(actor, level, what)

/** Only the control name carries an identity, even if a client offers its certificate elsewhere. */
const certificateOf = (socket: TLSSocket): X509Certificate | undefined =>
  socket.alpnProtocol === ALPN.control ? socket.getPeerX509Certificate() : undefined

export const peerOf = (socket: Socket): Peer => {
  const host = socket.remoteAddress ?? 'unknown'
  return { host, address: `${host}:${socket.remotePort ?? 0}` }
}
