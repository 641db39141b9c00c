// What a person can look at: `status`, `resources ls`, `gateway ls`; and `gateway close`, `core stop`.
import { formatDuration } from '../../shared/duration.ts'
import { hasAccounts } from '../../shared/names.ts'
import type { GatewayView, ProfileView } from '../../shared/rpc.ts'
import type { Context } from '../context.ts'
import { formatTable } from '../table.ts'
import { endWarningOf } from '../warn-before-end.ts'
import { orInterrupted, withCore } from '../with-core.ts'

type Json = { json?: boolean }

const writeJson = (context: Context, value: unknown) => context.terminal.stdout.write(`${JSON.stringify(value)}\n`)

const orDash = (text: string): string => (text === '' ? '-' : text)

const loginColumns = [
  { title: 'PROFILE' },
  { title: 'ADDRESS' },
  { title: 'USER' },
  { title: 'STATE' },
  { title: 'TIME LEFT', align: 'right' as const },
]

const loginRow = (profile: ProfileView, current: string | null): string[] => [
  profile.profile === current ? `${profile.profile} *` : profile.profile,
  profile.address,
  profile.user ?? '-',
  profile.state,
  profile.remainingMs === null || profile.remainingMs <= 0 ? '-' : formatDuration(profile.remainingMs),
]

const gatewayColumns = [
  { title: 'RESOURCE' },
  { title: 'ACCOUNT' },
  { title: 'DATABASE' },
  { title: 'PROFILE' },
  { title: 'ADDRESS' },
  { title: 'STATE' },
  { title: 'CONNECTIONS', align: 'right' as const },
  { title: 'KEEP' },
  { title: '' },
]

const gatewayRow = (gateway: GatewayView): string[] => [
  gateway.resource,
  orDash(hasAccounts(gateway.protocol) ? gateway.account : ''),
  orDash(gateway.database),
  gateway.profile,
  `${gateway.host}:${gateway.port}`,
  gateway.state,
  gateway.waiting === 0 ? String(gateway.connections) : `${gateway.connections} (${gateway.waiting} waiting)`,
  gateway.keep,
  gateway.stateText ?? '',
]

/** Profiles with person, state word and time left, and the gateways. */
export async function status(context: Context, options: Json): Promise<void> {
  await withCore(context, async (core) => {
    const { profiles, current } = await core.call('profile.list', {})
    const { gateways } = await core.call('gateway.list', {})
    if (options.json) {
      writeJson(context, { core: { pid: core.core.pid, version: core.core.appVersion }, profiles, current, gateways })
      return
    }
    const { stdout } = context.terminal
    if (profiles.length === 0) {
      stdout.write('No server is known here yet. Sign in with: postern login ADDRESS --user NAME\n')
      return
    }
    stdout.write(
      formatTable(
        loginColumns,
        profiles.map((profile) => loginRow(profile, current)),
      ),
    )
    for (const profile of profiles) {
      const warning = endWarningOf(profile)
      if (warning) stdout.write(`\n${warning.text}\n`)
    }
    stdout.write('\n')
    if (gateways.length === 0) stdout.write('No gateway is open. Open one with: postern gateway open RESOURCE\n')
    else stdout.write(formatTable(gatewayColumns, gateways.map(gatewayRow)))
  })
}

/** What the person's roles allow. */
export async function listResources(context: Context, options: Json & { profile?: string }): Promise<void> {
  await withCore(context, async (core) => {
    const { profile, resources, leftOut } = await core.call(
      'resource.list',
      options.profile === undefined ? {} : { profile: options.profile },
    )
    if (options.json) {
      writeJson(context, { profile, resources, ...(leftOut === 0 ? {} : { leftOut }) })
      return
    }
    if (leftOut > 0) {
      const what = leftOut === 1 ? '1 resource is' : `${leftOut} resources are`
      context.terminal.stderr.write(
        `postern: ${what} not listed: ${profile} has a newer version, and this one does not understand them.\n`,
      )
    }
    if (resources.length === 0) {
      context.terminal.stdout.write(`Your roles at ${profile} allow no resource; ask an administrator for one.\n`)
      return
    }
    const rows = resources.map((resource) => [
      resource.name,
      resource.protocol,
      orDash(hasAccounts(resource.protocol) ? resource.accounts.join(', ') : ''),
      orDash(resource.databases.map((database) => (database === '*' ? 'any' : database)).join(', ')),
      Object.entries(resource.labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(' '),
      resource.description,
    ])
    const titles = ['RESOURCE', 'PROTOCOL', 'ACCOUNTS', 'DATABASES', 'LABELS', 'DESCRIPTION']
    context.terminal.stdout.write(
      formatTable(
        titles.map((title) => ({ title })),
        rows,
      ),
    )
  })
}

export async function listGateways(context: Context, options: Json): Promise<void> {
  await withCore(context, async (core) => {
    const { gateways } = await core.call('gateway.list', {})
    if (options.json) writeJson(context, { gateways })
    else if (gateways.length === 0) context.terminal.stdout.write('No gateway is open.\n')
    else context.terminal.stdout.write(formatTable(gatewayColumns, gateways.map(gatewayRow)))
  })
}

/** By id, or by the resource's name. */
export async function closeGateway(context: Context, gateway: string, options: Json): Promise<void> {
  await withCore(context, async (core) => {
    const { closed } = await core.call('gateway.close', { gateway })
    if (options.json) writeJson(context, { closed })
    else
      context.terminal.stdout.write(
        `Closed ${closed.resource}${hasAccounts(closed.protocol) ? ` as ${closed.account}` : ''} (${closed.host}:${closed.port}); its port stays reserved.\n`,
      )
  })
}

export async function stopCore(context: Context): Promise<void> {
  const didRun = await orInterrupted(context.stopCore(), context.interrupt)
  context.terminal.stdout.write(
    didRun ? 'The core has stopped; detached gateways come back with its next start.\n' : 'No core was running.\n',
  )
}
