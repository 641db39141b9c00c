// `postern admin role add|set`: one rule and the limits of a role as flags say them; what no flag names stays as it is.
import { AdminLists, type RoleSpec } from '../../shared/admin-api.ts'
import { PosternError } from '../../shared/errors.ts'
import type { Context } from '../context.ts'
import { changedLimits, type LimitFlags } from '../limit-flags.ts'
import { withCore } from '../with-core.ts'
import { applyDocuments, type AdminOptions } from './admin-documents.ts'
import { checked, existing, parseLabels, requestList, type Change } from './admin-lists.ts'

export type RoleOptions = AdminOptions &
  LimitFlags & {
    description?: string
    resource?: string[]
    label?: string[]
    account?: string[]
    database?: string[]
    append?: boolean
  }

/** One rule and limits from flags: `set` replaces the role's rules by the rule, or adds it with --append. */
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
    const limits = changedLimits(old?.limits, options)
    const document = checked({
      kind: 'role',
      name,
      description: options.description ?? old?.description ?? '',
      allow: rule === undefined ? oldRules : options.append ? [...oldRules, rule] : [rule],
      ...(limits === undefined ? {} : { limits }),
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
