// `postern admin ca status|rotate|finish`: the rotation of the CAs, as the server tells it. Every command prints how things stand
// after it.
import { CaStatus } from '../../shared/admin-api.ts'
import type { ParsedParams } from '../../shared/rpc.ts'
import { callApi } from '../call-api.ts'
import type { Context } from '../context.ts'
import { formatTable } from '../table.ts'
import { withCore } from '../with-core.ts'
import type { AdminOptions } from './admin-documents.ts'

export const showCas = (context: Context, options: AdminOptions): Promise<void> =>
  callAndPrint(context, options, { method: 'GET', path: '/v1/admin/ca' })

export const rotateCas = (context: Context, options: AdminOptions): Promise<void> =>
  callAndPrint(context, options, { method: 'POST', path: '/v1/admin/ca/rotate', body: {} })

export const finishRotation = (context: Context, options: AdminOptions & { force?: boolean }): Promise<void> =>
  callAndPrint(context, options, {
    method: 'POST',
    path: '/v1/admin/ca/finish',
    body: { force: options.force ?? false },
  })

async function callAndPrint(
  context: Context,
  options: AdminOptions,
  request: Omit<ParsedParams<'api.call'>, 'profile'>,
): Promise<void> {
  await withCore(context, async (core) => {
    const status = await callApi(core, CaStatus, { profile: options.profile, ...request })
    context.terminal.stdout.write(options.json ? `${JSON.stringify(jsonOf(status))}\n` : textOf(status))
  })
}

/** Without what is for the core's ears only. */
const jsonOf = ({ state, authorities, onOldCa, crossUntil }: CaStatus): object => ({
  ...{ state, authorities, onOldCa, crossUntil },
})

const COLUMNS = ['CA', 'ID', 'USE', 'CREATED', 'EXPIRES', 'FINGERPRINT'].map((title) => ({ title }))

function textOf(status: CaStatus): string {
  const table = formatTable(
    COLUMNS,
    status.authorities.map((ca) => [ca.kind, ca.id, ca.use, dayOf(ca.createdAt), dayOf(ca.expiresAt), ca.fingerprint]),
  )
  return `${[adviceOf(status), ''].join('\n')}\n${table}`
}

function adviceOf({ state, onOldCa: { logins, routes }, crossUntil }: CaStatus): string {
  if (state === 'idle') {
    return crossUntil === null
      ? 'No rotation goes on.'
      : `No rotation goes on. Clients that were away during the last one find the way by themselves until ${dayOf(crossUntil)}.`
  }
  const rest = logins + routes
  return rest === 0
    ? 'A rotation goes on; nothing rests on the old user CA any more. End it with: postern admin ca finish'
    : `A rotation goes on; on the old user CA still rest ${count(logins, 'login')} and ${count(routes, 'route')}. ` +
        'They move over by themselves, or end with their time.'
}

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`
const dayOf = (time: string): string => time.slice(0, 10)
