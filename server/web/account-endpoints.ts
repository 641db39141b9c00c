// Endpoints for people's own account: who am I, log out, password, TOTP.
import {
  CertificateRequest,
  LogoutRequest,
  PasswordRequest,
  TotpConfirmRequest,
  TotpStartRequest,
} from '../../shared/login-api.ts'
import { readHeldRoles } from '../access/records.ts'
import { signedIn, trustNews, type Endpoint } from './endpoint.ts'

export const accountEndpoints: readonly Endpoint[] = [
  signedIn({
    method: 'GET',
    path: '/v1/me',
    level: 'none',
    handle: async (request) => {
      const { parts, actor } = request
      const { email, totp_sealed } = await parts.db
        .selectFrom('users')
        .select(['email', 'totp_sealed'])
        .where('name', '=', actor.user)
        .executeTakeFirstOrThrow()
      const roles = await readHeldRoles(parts.db, actor.user, parts.now())
      return {
        cluster: parts.cluster,
        user: actor.user,
        email,
        level: actor.level,
        loginId: actor.loginId,
        expiresAt: actor.loginEndsAt.toISOString(),
        totp: totp_sealed !== null,
        roles: roles.map(({ role, until }) => ({ role: role.name, until: until?.toISOString() ?? null })),
        ...trustNews(request),
      }
    },
  }),
  signedIn({
    method: 'POST',
    path: '/v1/login/certificate',
    level: 'none',
    input: CertificateRequest,
    handle: async ({ parts, actor, peer }, { csr }) => ({
      ...(await parts.logins.renewCertificate(actor, csr, peer)),
      cas: [...parts.authority.serverCaPems],
    }),
  }),
  signedIn({
    method: 'POST',
    path: '/v1/logout',
    level: 'none',
    takesExpired: true,
    input: LogoutRequest,
    handle: async ({ parts, actor }, { everywhere }) => {
      await parts.logins.logOut(actor.user, actor.loginId, everywhere)
      return {}
    },
  }),
  signedIn({
    method: 'POST',
    path: '/v1/account/password',
    level: 'none',
    input: PasswordRequest,
    handle: async ({ parts, actor, peer }, { current, next }) => {
      await parts.ownAccount.changePassword(actor, current, next, peer)
      return {}
    },
  }),
  signedIn({
    method: 'POST',
    path: '/v1/account/totp',
    level: 'none',
    input: TotpStartRequest,
    handle: ({ parts, actor, peer }, { password }) => parts.ownAccount.startTotp(actor.user, password, peer),
  }),
  signedIn({
    method: 'POST',
    path: '/v1/account/totp/confirm',
    level: 'none',
    input: TotpConfirmRequest,
    handle: async ({ parts, actor, peer }, { code }) => {
      await parts.ownAccount.confirmTotp(actor, code, peer)
      return {}
    },
  }),
]
