// `postern admin user|role|resource|grant add|set|ls|rm`: the same documents as `admin apply`, made from flags. `add`
// refuses what exists, `set` changes only what its flags name.
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import {
  AdminDocument,
  AdminLists,
  type GrantSpec,
  type PostgresResource,
  type ResourceSpec,
  type RoleSpec,
} from '../../shared/admin-api.ts'
import { Done } from '../../shared/api.ts'
import { parseDuration } from '../../shared/duration.ts'
import { PosternError } from '../../shared/errors.ts'
import type { ResourceProtocol } from '../../shared/names.ts'
import { askInTerminal } from '../ask-secret.ts'
import { callApi } from '../call-api.ts'
import type { Context, Core } from '../context.ts'
import { readLines } from '../read-stdin.ts'
import { formatTable } from '../table.ts'
import { withCore } from '../with-core.ts'
import { applyDocuments, type AdminOptions } from './admin-documents.ts'

type Draft = z.input<typeof AdminDocument>
export type Change = 'add' | 'set'

/** One of the server's lists; `schema` is the one of AdminLists for `kind`. */
const requestList = <S extends z.ZodType>(
  core: Core,
  kind: keyof typeof AdminLists,
  schema: S,
  options: AdminOptions,
): Promise<z.output<S>> => callApi(core, schema, { profile: options.profile, method: 'GET', path: `/v1/admin/${kind}` })

/** The one that exists (for `set`), or nothing (for `add`); anything else is a clear error. */
function existing<T>(change: Change, what: string, name: string, found: T | undefined): T | undefined {
  if (change === 'add' && found !== undefined)
    throw new PosternError('conflict', `The ${what} ${name} exists already; change it with "admin ${what} set".`)
  if (change === 'set' && found === undefined)
    throw new PosternError('not_found', `There is no ${what} ${name}; make it with "admin ${what} add".`)
  return found
}

/** Checks what the flags made, so that mistakes are told in one sentence before the server is asked. */
function checked(draft: Draft): AdminDocument {
  const parsed = AdminDocument.safeParse(draft)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new PosternError('bad_request', `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not valid'}`)
}

async function askSecrets(context: Context, prompts: string[], fromStdin: boolean): Promise<string[]> {
  if (prompts.length === 0) return []
  if (fromStdin) {
    const lines = await readLines(context.terminal.stdin)
    if (lines.length < prompts.length || lines.some((line) => line === ''))
      throw new PosternError('bad_request', `--password-stdin wants ${prompts.length} line(s), one password each.`)
    return lines.slice(0, prompts.length)
  }
  if (!context.terminal.canAsk)
    throw new PosternError('bad_request', 'There is no terminal to ask for a password: pipe it in, --password-stdin.')
  const answers: string[] = []
  for (const prompt of prompts)
    answers.push(await askInTerminal(context.terminal, { prompt, hidden: true, signal: context.interrupt }))
  return answers
}

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

export type RoleOptions = AdminOptions & {
  description?: string
  resource?: string[]
  label?: string[]
  account?: string[]
  database?: string[]
  append?: boolean
}

/** One rule from flags: `set` replaces the role's rules by it, or adds it with --append. */
export async function changeRole(context: Context, change: Change, name: string, options: RoleOptions): Promise<void> {
  const rule = ruleOf(options)
  await withCore(context, async (core) => {
    const { roles } = await requestList(core, 'roles', AdminLists.roles, options)
    const old: RoleSpec | undefined = existing(
      change,
      'role',
      name,
      roles.find((role) => role.name === name),
    )
    const oldRules = old?.allow ?? []
    const document = checked({
      kind: 'role',
      name,
      description: options.description ?? old?.description ?? '',
      allow: rule === undefined ? oldRules : options.append ? [...oldRules, rule] : [rule],
    })
    await applyDocuments(context, core, [document], options)
  })
}

function ruleOf(options: RoleOptions): RoleSpec['allow'][number] | undefined {
  const { resource, label, account, database } = options
  if (resource === undefined && label === undefined && account === undefined && database === undefined) return undefined
  if (account === undefined || (resource === undefined && label === undefined))
    throw new PosternError('bad_request', 'A rule needs --account and either --resource or --label.')
  return {
    ...(resource === undefined ? {} : { resources: resource }),
    ...(label === undefined ? {} : { labels: parseLabels(label) }),
    accounts: account,
    databases: database ?? ['*'],
  }
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

export type ResourceOptions = AdminOptions & {
  protocol?: ResourceProtocol
  address?: string
  description?: string
  label?: string[]
  tls?: string
  tlsCa?: string
  tlsName?: string
  defaultDatabase?: string
  account?: string[]
  passwordStdin?: boolean
}

export async function changeResource(
  context: Context,
  change: Change,
  name: string,
  options: ResourceOptions,
): Promise<void> {
  if (options.protocol === 'tcp') refuseDatabaseFlags(options)
  const passwords = await askSecrets(
    context,
    (options.account ?? []).map((account) => `Password of database user ${account}: `),
    options.passwordStdin ?? false,
  )
  const ca = options.tlsCa === undefined ? undefined : await readFile(options.tlsCa, 'utf8')
  await withCore(context, async (core) => {
    const { resources } = await requestList(core, 'resources', AdminLists.resources, options)
    const old: ResourceSpec | undefined = existing(
      change,
      'resource',
      name,
      resources.find((resource) => resource.name === name),
    )
    const address = options.address ?? old?.address
    if (address === undefined) throw new PosternError('bad_request', 'Where is it? Say --address HOST:PORT.')
    const protocol = options.protocol ?? old?.protocol ?? 'postgres'
    const draft = {
      kind: 'resource',
      name,
      protocol,
      address,
      description: options.description ?? old?.description ?? '',
      labels: options.label === undefined ? (old?.labels ?? {}) : parseLabels(options.label),
      ...(protocol === 'tcp' ? refuseDatabaseFlags(options) : databaseParts(options, old, ca, passwords)),
    }
    await applyDocuments(context, core, [AdminDocument.parse(draft)], options)
  })
}

/** @throws PosternError `bad_request` naming a flag that plain TCP has no use for */
function refuseDatabaseFlags(options: ResourceOptions): object {
  const flags = {
    '--account': options.account,
    '--tls': options.tls,
    '--tls-ca': options.tlsCa,
    '--tls-name': options.tlsName,
    '--default-database': options.defaultDatabase,
  }
  const given = Object.entries(flags).flatMap(([flag, value]) => (value === undefined ? [] : [flag]))
  if (given.length > 0)
    throw new PosternError('bad_request', `A tcp resource is passed on as it is: leave out ${given.join(', ')}.`)
  return {}
}

function databaseParts(
  options: ResourceOptions,
  old: ResourceSpec | undefined,
  ca: string | undefined,
  passwords: readonly string[],
): object {
  const before = old?.protocol === 'postgres' ? old : undefined
  const accounts = mergeAccounts(before?.accounts ?? [], options.account ?? [], passwords)
  if (accounts.length === 0) throw new PosternError('bad_request', 'Name at least one database user: --account NAME.')
  return {
    tls: {
      ...before?.tls,
      ...(options.tls === undefined ? {} : { mode: options.tls }),
      ...(ca === undefined ? {} : { ca }),
      ...(options.tlsName === undefined ? {} : { serverName: options.tlsName }),
    },
    defaultDatabase: options.defaultDatabase ?? before?.defaultDatabase ?? 'postgres',
    accounts,
  }
}

/** Accounts that are named get their new password; the others keep the stored one (no password is sent). */
function mergeAccounts(
  old: PostgresResource['accounts'],
  names: readonly string[],
  passwords: readonly string[],
): { name: string; password?: string }[] {
  const kept = old.filter(({ name }) => !names.includes(name)).map(({ name }) => ({ name }))
  const named = names.map((name, index) => {
    const password = passwords[index]
    return password === undefined ? { name } : { name, password }
  })
  return [...kept, ...named]
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
  const titles = ['ROLE', 'RESOURCES', 'ACCOUNTS', 'DATABASES', 'DESCRIPTION']
  await list(context, 'roles', AdminLists.roles, options, titles, ({ roles }) => ({
    items: roles,
    rows: roles.flatMap((role) => {
      if (role.allow.length === 0) return [[role.name, '-', '-', '-', role.description]]
      return role.allow.map((rule) => [
        role.name,
        [...(rule.resources ?? []), ...formatLabels(rule.labels ?? {})].join(', '),
        rule.accounts.join(', '),
        rule.databases.join(', '),
        role.description,
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
