// What people change about their own account, by the server's API: the three calls that a page may make of it (shared/shell.ts).
// Called by the account dialogs.
import type { z } from 'zod'
import { Done } from '../../shared/api.ts'
import { TotpStartResponse } from '../../shared/login-api.ts'
import { PosternError } from '../../shared/errors.ts'
import type { PAGE_API_CALLS, PageApiPath } from '../../shared/shell.ts'
import { texts } from '../texts.ts'
import { call } from './call.ts'

/** A new seed, which counts once a code of it came back. @throws PosternError `bad_credentials`, `rate_limited` … */
export const startTotp = (profile: string, password: string): Promise<z.output<typeof TotpStartResponse>> =>
  post(profile, '/v1/account/totp', { password }, TotpStartResponse)

/** @throws PosternError `totp_invalid`, `rate_limited` … */
export const confirmTotp = (profile: string, code: string): Promise<unknown> =>
  post(profile, '/v1/account/totp/confirm', { code }, Done)

/** @throws PosternError `bad_credentials`, `rate_limited` … */
export const changePassword = (profile: string, current: string, next: string): Promise<unknown> =>
  post(profile, '/v1/account/password', { current, next }, Done)

async function post<P extends PageApiPath, S extends z.ZodType>(
  profile: string,
  path: P,
  body: z.input<(typeof PAGE_API_CALLS)[P]>,
  schema: S,
): Promise<z.output<S>> {
  const answer = await call('api.call', { profile, method: 'POST', path, body })
  const parsed = schema.safeParse(answer.body)
  if (!parsed.success) throw new PosternError('protocol', texts.connection.strangeAnswer)
  return parsed.data
}
