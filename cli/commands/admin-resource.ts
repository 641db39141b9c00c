// `postern admin resource add|set`: a resource as flags say it, with its database users and their passwords.
import { readFile } from 'node:fs/promises'
import { AdminLists, type PostgresResource, type ResourceSpec } from '../../shared/admin-api.ts'
import { PosternError } from '../../shared/errors.ts'
import type { ResourceProtocol } from '../../shared/names.ts'
import { askSecrets } from '../ask-secrets.ts'
import type { Context } from '../context.ts'
import { withCore } from '../with-core.ts'
import { applyDocuments, type AdminOptions } from './admin-documents.ts'
import { checked, existing, parseLabels, requestList, type Change } from './admin-lists.ts'

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
    await applyDocuments(context, core, [checked(draft)], options)
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
