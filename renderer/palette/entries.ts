// What the palette can do: one entry for each thing, with what Enter does in words. Built from the state when the palette opens.
import type { AppSettings, GatewayDetail } from '../../shared/app-state.ts'
import type { ResourceView } from '../../shared/resource-api.ts'
import { hasAccounts } from '../../shared/names.ts'
import type { ProfileView } from '../../shared/rpc.ts'
import { flowTexts } from '../flow-texts.ts'
import { formatAddress } from '../format.ts'
import type { Route } from '../navigation.ts'
import { maySeeEveryone } from '../screens/sessions/rights.ts'
import { texts } from '../texts.ts'

const words = flowTexts.palette

export type EntryGroup = 'gateways' | 'resources' | 'commands'

/** What happens on Enter; carried out by actions.ts. */
export type EntryAction =
  | { kind: 'go'; route: Route; focus?: string }
  | { kind: 'open'; profile: string; resource: string; account: string }
  | { kind: 'copy'; text: string }
  | { kind: 'close'; gateway: GatewayDetail }
  | { kind: 'closeIdle'; gateways: readonly GatewayDetail[] }
  | { kind: 'logIn' | 'logOut' | 'select'; profile: string }
  | { kind: 'everyonesSessions' }
  | { kind: 'theme'; theme: AppSettings['theme'] }

export type Entry = {
  /** The same after a restart, so that recent ones are found again. */
  id: string
  group: EntryGroup
  title: string
  /** Quiet, at the end of the line. */
  detail: string
  keywords: readonly string[]
  /** Only shown once something is searched. */
  isSecondary: boolean
  /** What Enter does. */
  enter: string
  action: EntryAction
}

export type PaletteSources = {
  current: ProfileView | null
  profiles: Readonly<Record<string, ProfileView>>
  gateways: Readonly<Record<string, GatewayDetail>>
  /** Of the current profile. */
  resources: readonly ResourceView[]
  theme: AppSettings['theme']
}

export function buildEntries(sources: PaletteSources): Entry[] {
  return [...gatewayEntries(sources), ...resourceEntries(sources), ...commandEntries(sources)]
}

function gatewayEntries({ gateways, current }: PaletteSources): Entry[] {
  return Object.values(gateways).flatMap((gateway): Entry[] => {
    const { id, resource, account, profile, protocol } = gateway
    const address = formatAddress(gateway.host, gateway.port)
    const name = hasAccounts(protocol) ? words.resourceAs(resource, account) : resource
    const where = profile === current?.profile ? '' : `${profile} · `
    const common = { group: 'gateways' as const, keywords: [address, account, profile, protocol, gateway.database] }
    const detail = `${where}${texts.gatewayState[gateway.state]} · ${address}`
    return [
      {
        ...common,
        id: `go ${profile}/${resource}/${account}`,
        title: name,
        detail,
        isSecondary: false,
        enter: words.goTo,
        action: { kind: 'go', route: { screen: 'gateways', gateway: id } },
      },
      {
        ...common,
        id: `copy ${profile}/${resource}/${account}`,
        title: words.copyTitle(name),
        detail: address,
        isSecondary: true,
        enter: words.copy,
        action: { kind: 'copy', text: address },
      },
      {
        ...common,
        id: `close ${profile}/${resource}/${account}`,
        title: words.closeTitle(name),
        detail: texts.gateways.connected(gateway.connections),
        isSecondary: true,
        enter: words.closeGateway,
        action: { kind: 'close', gateway },
      },
    ]
  })
}

/** One for each account that has no gateway yet; the usual account first, others when one searches. */
function resourceEntries({ current, resources, gateways }: PaletteSources): Entry[] {
  if (!current) return []
  const { profile } = current
  const open = new Set(
    Object.values(gateways).map((gateway) => [gateway.profile, gateway.resource, gateway.account].join('\n')),
  )
  return resources.flatMap((resource) =>
    resource.accounts
      .filter((account) => !open.has([profile, resource.name, account].join('\n')))
      .map((account): Entry => ({
        id: `open ${profile}/${resource.name}/${account}`,
        group: 'resources',
        title: hasAccounts(resource.protocol) ? words.resourceAs(resource.name, account) : resource.name,
        detail: resource.description,
        keywords: [
          account,
          resource.protocol,
          ...Object.entries(resource.labels).map(([key, value]) => `${key}=${value}`),
        ],
        isSecondary: account !== resource.defaultAccount,
        enter: words.openGateway,
        action: { kind: 'open', profile, resource: resource.name, account },
      })),
  )
}

function commandEntries({ current, profiles, gateways, theme }: PaletteSources): Entry[] {
  const command = (id: string, title: string, action: EntryAction, more: Partial<Entry> = {}): Entry => ({
    id,
    group: 'commands',
    title,
    detail: '',
    keywords: [],
    isSecondary: false,
    enter: action.kind === 'go' ? words.show : words.run,
    action,
    ...more,
  })
  const setting = (id: string, title: string): Entry =>
    command(id, words.settingOf(title), { kind: 'go', route: { screen: 'settings' }, focus: id }, { isSecondary: true })
  const idle = Object.values(gateways).filter((gateway) => gateway.connections === 0 && gateway.waiting === 0)
  const isLoggedIn = current?.state === 'ready' || current?.state === 'expiring'

  return [
    ...(current ? [command('log in', words.logIn(current.profile), { kind: 'logIn', profile: current.profile })] : []),
    command('resources', words.resourcesScreen, { kind: 'go', route: { screen: 'resources' } }),
    command('gateways', words.gatewaysScreen, { kind: 'go', route: { screen: 'gateways', gateway: null } }),
    command('sessions', words.sessionsScreen, { kind: 'go', route: { screen: 'sessions', session: null } }),
    ...(maySeeEveryone(current?.level ?? null)
      ? [command('sessions of everyone', words.everyonesSessions, { kind: 'everyonesSessions' }, { isSecondary: true })]
      : []),
    command('notices', words.noticesScreen, { kind: 'go', route: { screen: 'notices' } }),
    command('settings', words.settingsScreen, { kind: 'go', route: { screen: 'settings' } }),
    command(
      'about',
      words.aboutScreen,
      { kind: 'go', route: { screen: 'about' } },
      { keywords: ['version', 'log', 'support'] },
    ),
    ...Object.values(profiles)
      .filter((profile) => profile.profile !== current?.profile)
      .map((other) =>
        command(
          `select ${other.profile}`,
          words.switchTo(other.profile),
          { kind: 'select', profile: other.profile },
          { detail: texts.profileState[other.state], keywords: ['cluster', other.address] },
        ),
      ),
    command('first-run', words.addCluster, { kind: 'go', route: { screen: 'first-run' } }),
    ...(current && isLoggedIn
      ? [
          command(
            'log out',
            words.logOut(current.profile),
            { kind: 'logOut', profile: current.profile },
            { isSecondary: true },
          ),
        ]
      : []),
    ...(idle.length > 0
      ? [
          command(
            'close idle',
            words.closeIdle,
            { kind: 'closeIdle', gateways: idle },
            {
              detail: texts.navigation.openGateways(idle.length),
              isSecondary: true,
            },
          ),
        ]
      : []),
    ...THEMES.filter((choice) => choice.theme !== theme).map((choice) =>
      command(`theme ${choice.theme}`, choice.title, { kind: 'theme', theme: choice.theme }, { isSecondary: true }),
    ),
    setting('setting-ports', flowTexts.settings.ports),
    setting('setting-login-wait', flowTexts.settings.loginWait),
    setting('setting-password', flowTexts.settings.gatewayPassword),
    setting('setting-background', flowTexts.settings.backgroundMode),
  ]
}

const THEMES: readonly { theme: AppSettings['theme']; title: string }[] = [
  { theme: 'system', title: words.themeSystem },
  { theme: 'light', title: words.themeLight },
  { theme: 'dark', title: words.themeDark },
]
