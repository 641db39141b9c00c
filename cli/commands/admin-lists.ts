// What `postern admin user|role|resource|grant` share: the server's lists, the lists as tables, the checks of what flags made, and
// removing one.
import type { z } from 'zod'
import { AdminDocument, AdminLists } from '../../shared/admin-api.ts'
import { Done } from '../../shared/api.ts'
import { PosternError } from '../../shared/errors.ts'
import { callApi } from '../call-api.ts'
import type { Context, Core } from '../context.ts'
import { formatLimits } from '../limit-flags.ts'
import { formatTable } from '../table.ts'
import { withCore } from '../with-core.ts'
import type { AdminOptions } from './admin-documents.ts'

export type Change = 'add' | 'set'

/** One of the server's lists; `schema` is the one of AdminLists for `kind`. */
export const requestList = <S extends z.ZodType>(
  core: Core,
  kind: keyof typeof AdminLists,
  schema: S,
  options: AdminOptions,
): Promise<z.output<S>> => callApi(core, schema, { profile: options.profile, method: 'GET', path: `/v1/admin/${kind}` })

/** The one that exists (for `set`), or nothing (for `add`); anything else is a clear error. */
export function existing<T>(change: Change, what: string, name: string, found: T | undefined): T | undefined {
  if (change === 'add' && found !== undefined)
    throw new PosternError('conflict', `The ${what} ${name} exists already; change it with "admin ${what} set".`)
  if (change === 'set' && found === undefined)
    throw new PosternError('not_found', `There is no ${what} ${name}; make it with "admin ${what} add".`)
  return found
}

/** Checks what the flags made, so that mistakes are told in one sentence before the server is asked. */
export function checked(draft: unknown): AdminDocument {
  const parsed = AdminDocument.safeParse(draft)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new PosternError('bad_request', `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not valid'}`)
}

export function parseLabels(labels: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    labels.map((label) => {
      const at = label.indexOf('=')
      if (at < 1) throw new PosternError('bad_request', `--label "${label}" is not KEY=VALUE.`)
      return [label.slice(0, at), label.slice(at + 1)]
    }),
  )
}

/** DELETE of one; `key` is NAME, or USER/ROLE for a grant. */
export async function removeOne(
  context: Context,
  kind: keyof typeof AdminLists,
  key: string,
  options: AdminOptions,
): Promise<void> {
  await withCore(context, async (core) => {
    const path = `/v1/admin/${kind}/${key.split('/').map(encodeURIComponent).join('/')}`
    await callApi(core, Done, { profile: options.profile, method: 'DELETE', path })
    if (options.json) context.terminal.stdout.write(`${JSON.stringify({ removed: { kind, name: key } })}\n`)
    else context.terminal.stdout.write(`Removed ${key}.\n`)
  })
}

export async function listUsers(context: Context, options: AdminOptions): Promise<void> {
  const titles = ['NAME', 'LEVEL', 'TOTP', 'DISABLED', 'EMAIL']
  await list(context, 'users', AdminLists.users, options, titles, ({ users }) => ({
    items: users,
    rows: users.map((user) => [user.name, user.level, yes(user.totp), yes(user.disabled), user.email ?? '-']),
  }))
}

export async function listRoles(context: Context, options: AdminOptions): Promise<void> {
  const titles = ['ROLE', 'RESOURCES', 'ACCOUNTS', 'DATABASES', 'LIMITS', 'DESCRIPTION']
  await list(context, 'roles', AdminLists.roles, options, titles, ({ roles }) => ({
    items: roles,
    rows: roles.flatMap((role) => {
      const ofRole = [formatLimits(role.limits), role.description]
      if (role.allow.length === 0) return [[role.name, '-', '-', '-', ...ofRole]]
      return role.allow.map((rule) => [
        role.name,
        [...(rule.resources ?? []), ...formatLabels(rule.labels ?? {})].join(', '),
        rule.accounts.join(', '),
        rule.databases.join(', '),
        ...ofRole,
      ])
    }),
  }))
}

export async function listAllResources(context: Context, options: AdminOptions): Promise<void> {
  const titles = ['RESOURCE', 'PROTOCOL', 'ADDRESS', 'TLS', 'ACCOUNTS', 'LABELS']
  await list(context, 'resources', AdminLists.resources, options, titles, ({ resources }) => ({
    items: resources,
    rows: resources.map((resource) => [
      resource.name,
      resource.protocol,
      resource.address,
      resource.tls?.mode ?? '-',
      resource.accounts.map(({ name }) => name).join(', '),
      formatLabels(resource.labels).join(' '),
    ]),
  }))
}

export async function listGrants(context: Context, options: AdminOptions): Promise<void> {
  await list(context, 'grants', AdminLists.grants, options, ['USER', 'ROLE', 'UNTIL'], ({ grants }) => ({
    items: grants,
    rows: grants.map((grant) => [grant.user, grant.role, grant.until ?? 'always']),
  }))
}

const yes = (value: boolean): string => (value ? 'yes' : 'no')
const formatLabels = (labels: Record<string, string>): string[] => Object.entries(labels).map((pair) => pair.join('='))

async function list<S extends z.ZodType>(
  context: Context,
  kind: keyof typeof AdminLists,
  schema: S,
  options: AdminOptions,
  titles: string[],
  read: (answer: z.output<S>) => { items: unknown[]; rows: string[][] },
): Promise<void> {
  await withCore(context, async (core) => {
    const { items, rows } = read(await requestList(core, kind, schema, options))
    const columns = titles.map((title) => ({ title }))
    context.terminal.stdout.write(options.json ? `${JSON.stringify({ [kind]: items })}\n` : formatTable(columns, rows))
  })
}
