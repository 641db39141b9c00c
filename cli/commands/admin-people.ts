// `postern admin user add|set` and `postern admin grant add`: the same documents as `admin apply`, made from flags. `add` refuses
// what exists, `set` changes only what its flags name.
import { z } from 'zod'
import { AdminLists, type GrantSpec } from '../../shared/admin-api.ts'
import { parseDuration } from '../../shared/duration.ts'
import { PosternError } from '../../shared/errors.ts'
import { askSecrets } from '../ask-secrets.ts'
import type { Context } from '../context.ts'
import { withCore } from '../with-core.ts'
import { applyDocuments, type AdminOptions } from './admin-documents.ts'
import { checked, existing, requestList, type Change } from './admin-lists.ts'

export type UserOptions = AdminOptions & {
  email?: string
  level?: string
  disable?: boolean
  enable?: boolean
  password?: boolean
  passwordStdin?: boolean
  removeTotp?: boolean
}

export async function changeUser(context: Context, change: Change, name: string, options: UserOptions): Promise<void> {
  const wantsPassword = change === 'add' || options.password === true || options.passwordStdin === true
  const [password] = wantsPassword
    ? await askSecrets(context, [`Password for ${name} (at least 8 characters): `], options.passwordStdin ?? false)
    : []
  await withCore(context, async (core) => {
    const { users } = await requestList(core, 'users', AdminLists.users, options)
    const old = existing(
      change,
      'user',
      name,
      users.find((user) => user.name === name),
    )
    const level = options.level ?? old?.level ?? 'none'
    const document = checked({
      kind: 'user',
      name,
      email: options.email ?? old?.email ?? null,
      level: z.enum(['none', 'viewer', 'editor', 'admin'], 'level: none, viewer, editor or admin').parse(level),
      disabled: options.disable ? true : options.enable ? false : (old?.disabled ?? false),
      ...(password === undefined ? {} : { password }),
      ...(options.removeTotp ? { totpSecret: null } : {}),
    })
    await applyDocuments(context, core, [document], options)
  })
}

/** `--until` takes a time or a duration from now. */
export async function addGrant(
  context: Context,
  user: string,
  role: string,
  options: AdminOptions & { until?: string },
): Promise<void> {
  const until = options.until === undefined ? null : parseUntil(options.until, context.now())
  await withCore(context, async (core) => {
    const grant: GrantSpec = { kind: 'grant', user, role, until }
    await applyDocuments(context, core, [checked(grant)], options)
  })
}

function parseUntil(text: string, now: Date): string {
  const inMs = parseDuration(text)
  const time = inMs === undefined ? new Date(text) : new Date(now.getTime() + inMs)
  if (Number.isNaN(time.getTime()))
    throw new PosternError('bad_request', `--until "${text}" is neither a duration such as 8h nor a time.`)
  return time.toISOString()
}
