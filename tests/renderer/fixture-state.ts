// Scripted states and a friendly core for the fixture host: a cluster with people's names for things, every gateway state,
// and awkward names (long, right to left, emoji).
import { z } from 'zod'
import type { ResourceView } from '../../shared/resource-api.ts'
import type { AppState, ConnectionView, GatewayDetail } from '../../shared/app-state.ts'
import type { GatewayState, ProfileView } from '../../shared/rpc.ts'
import type { Responder } from './fixture-host.ts'

const iso = (offsetMs: number): string => new Date(Date.now() + offsetMs).toISOString()
const MINUTE = 60_000

export const profile = (name: string, part: Partial<ProfileView> = {}): ProfileView => ({
  profile: name,
  address: `${name}.example.com:3443`,
  fingerprint: `sha256:${'5f0c9a31'.repeat(8)}`,
  user: 'alice',
  level: 'editor',
  state: 'ready',
  expiresAt: iso(312 * MINUTE),
  remainingMs: 312 * MINUTE,
  clockOffsetMs: 0,
  ...part,
})

export const resource = (name: string, part: Partial<ResourceView> = {}): ResourceView => ({
  name,
  protocol: 'postgres',
  description: '',
  labels: { env: 'prod' },
  accounts: ['app_ro'],
  defaultAccount: 'app_ro',
  databases: ['app'],
  defaultDatabase: 'app',
  ...part,
})

export const connection = (id: string, part: Partial<ConnectionView> = {}): ConnectionView => ({
  id,
  client: 'psql',
  since: iso(-40 * MINUTE),
  state: 'open',
  bytesIn: 96_300,
  bytesOut: 310_000,
  lastActiveAt: iso(-12_000),
  ...part,
})

export function gateway(
  name: string,
  port: number,
  state: GatewayState,
  part: Partial<GatewayDetail> = {},
): GatewayDetail {
  const account = part.account ?? 'app_rw'
  const database = part.database ?? name
  const id = part.id ?? `gw-${name}-${port}`
  return {
    id,
    profile: 'acme-prod',
    resource: name,
    protocol: 'postgres',
    account,
    database,
    host: '127.0.0.1',
    port,
    url: `postgresql://${encodeURIComponent(account)}@127.0.0.1:${port}/${encodeURIComponent(database)}?sslmode=disable&connect_timeout=330`,
    env: {
      PGHOST: '127.0.0.1',
      PGPORT: String(port),
      PGUSER: account,
      PGDATABASE: database,
      PGSSLMODE: 'disable',
      PGCONNECT_TIMEOUT: '330',
    },
    state,
    stateText: null,
    keep: 'detached',
    certificateExpiresAt: iso(12 * MINUTE + 41_000),
    connections: 0,
    waiting: 0,
    openedAt: iso(-100 * MINUTE),
    connectTimeoutSeconds: 330,
    bytesIn: 0,
    bytesOut: 0,
    rateIn: 0,
    rateOut: 0,
    roundTripMs: null,
    connectionList: [],
    ...part,
  }
}

const byKey = <T>(items: readonly T[], key: (item: T) => string): Record<string, T> =>
  Object.fromEntries(items.map((item) => [key(item), item]))

/** The whole state, with `part` over it. */
export function appState(part: Partial<AppState> = {}, gateways: readonly GatewayDetail[] = demoGateways()): AppState {
  return {
    core: {
      version: '0.1.0',
      pid: 4711,
      home: '/home/alice/.postern',
      startedAt: iso(-200 * MINUTE),
      logFile: '/home/alice/.postern/core.log',
      platform: 'linux',
    },
    profiles: byKey(
      [profile('acme-prod'), profile('acme-staging', { state: 'expired', expiresAt: iso(-MINUTE), remainingMs: 0 })],
      (view) => view.profile,
    ),
    currentProfile: 'acme-prod',
    gateways: byKey(gateways, (view) => view.id),
    logins: {},
    notices: {
      n1: {
        id: 'n1',
        level: 'warning',
        text: 'The certificate for billing-replica could not be renewed; a login is needed.',
        profile: 'acme-prod',
        gateway: null,
        count: 3,
        firstAt: iso(-50 * MINUTE),
        lastAt: iso(-4 * MINUTE),
        isRead: false,
      },
      n2: {
        id: 'n2',
        level: 'info',
        text: 'Logged in to acme-prod as alice.',
        profile: 'acme-prod',
        gateway: null,
        count: 1,
        firstAt: iso(-160 * MINUTE),
        lastAt: iso(-160 * MINUTE),
        isRead: true,
      },
    },
    settings: {
      theme: 'system',
      portRange: null,
      loginWait: 60_000,
      loginHardLimit: 300_000,
      coolDown: 10_000,
      backgroundMode: true,
      startAtLogin: false,
      gatewayPassword: 'off',
    },
    ...part,
  }
}

export const demoGateways = (): GatewayDetail[] => [
  gateway('orders', 15432, 'listening', {
    guardedBy: 'local user',
    socket: '/home/alice/sockets/.s.PGSQL.15432',
    socketUrl:
      'postgresql://app_rw@/orders?host=%2Fhome%2Falice%2Fsockets&port=15432&sslmode=disable&connect_timeout=330',
    connections: 3,
    bytesIn: 4_400_000,
    bytesOut: 242_000_000,
    rateIn: 40_000,
    rateOut: 1_800_000,
    roundTripMs: 18.4,
    connectionList: [
      connection('c1', {
        client: 'DBeaver 25.2 - Main',
        bytesIn: 1_100_000,
        bytesOut: 214_000_000,
        since: iso(-91 * MINUTE),
      }),
      connection('c2', { lastActiveAt: iso(-1000) }),
      connection('c3', {
        client: null,
        state: 'open',
        bytesIn: 2_000_000,
        bytesOut: 8_400_000,
        since: iso(-5 * MINUTE),
        lastActiveAt: null,
      }),
    ],
  }),
  gateway('billing-replica', 15433, 'waiting for login', {
    account: 'analyst',
    database: 'billing',
    waiting: 2,
    connections: 2,
    certificateExpiresAt: iso(-MINUTE),
    stateText: 'Two connections wait for your login to acme-prod.',
    connectionList: [connection('h1', { state: 'held', bytesIn: 84, bytesOut: 0, since: iso(-9000) })],
  }),
  gateway('legacy-crm', 13306, 'port conflict', {
    account: 'readonly',
    stateText: 'Port 13306 is taken by mysqld (pid 812).',
  }),
  gateway('analytics', 15434, 'listening', { account: 'analyst' }),
  gateway('hr', 15435, 'refused', {
    account: 'hr_ro',
    stateText: 'None of your roles allows hr any more (error 7f3a91).',
  }),
  gateway('warehouse', 15436, 'needs login', { account: 'etl', certificateExpiresAt: iso(-MINUTE) }),
]

export const demoResources = (): ResourceView[] => [
  resource('orders', {
    description: 'Orders and carts of the shop, primary',
    labels: { env: 'prod', team: 'shop', region: 'eu-central-1' },
    accounts: ['app_ro', 'app_rw', 'migrator'],
    defaultAccount: 'app_rw',
    databases: ['orders', 'orders_archive'],
    defaultDatabase: 'orders',
  }),
  resource('billing-replica', {
    description: 'Read replica for reports',
    accounts: ['analyst'],
    defaultAccount: 'analyst',
    databases: ['*'],
    defaultDatabase: 'billing',
  }),
  resource('analytics', {
    description: 'Event warehouse',
    labels: { env: 'prod', team: 'data' },
    accounts: ['analyst', 'app_ro'],
  }),
  resource('hr', { labels: {}, accounts: ['hr_ro'], defaultAccount: 'hr_ro' }),
  resource('legacy-crm', {
    description: 'Being replaced; read only',
    accounts: ['readonly'],
    defaultAccount: 'readonly',
  }),
  resource('warehouse', {
    description: 'مستودع البيانات — بيانات المبيعات',
    labels: { فريق: 'بيانات', env: 'staging' },
  }),
  resource('inventory', {
    description:
      '📦 Stock levels of every shop, updated each minute from the tills; ask in #inventory before you run anything heavier than a count',
  }),
  resource(`a-very-long-name-${'x'.repeat(46)}`, { description: 'long '.repeat(60) }),
  ...Array.from({ length: 24 }, (_, index) =>
    resource(`tenant-${String(index + 1).padStart(2, '0')}`, { description: `Tenant ${index + 1}` }),
  ),
]

/** What the calls that are answered here may carry. */
const Asked = z.object({
  profile: z.string().default('acme-prod'),
  resource: z.string().default(''),
  account: z.string().default('app_ro'),
  gateway: z.string().default(''),
  port: z.number().optional(),
  database: z.string().optional(),
})

/** A core that does what it is asked, at once. */
export const respond: Responder = (method, params, host) => {
  const asked = Asked.parse(params)
  switch (method) {
    case 'resource.list':
      return { profile: asked.profile, resources: demoResources() }
    case 'shell.describe':
      return {
        kind: 'browser',
        version: '0.1.0',
        versions: { node: '24.21.0', chromium: '156' },
        keyProtection: 'A file that only you can read (0600).',
        canStartAtLogin: false,
        canNotify: true,
      }
    case 'gateway.open': {
      const opened = gateway(asked.resource, 15500, 'listening', { account: asked.account })
      host.patch([{ path: ['gateways', opened.id], value: opened }])
      return { gateway: opened, owned: true }
    }
    case 'gateway.close': {
      const closed = host.state.gateways[asked.gateway]
      host.patch([{ path: ['gateways', asked.gateway] }])
      return { closed }
    }
    case 'gateway.update': {
      const before = host.state.gateways[asked.gateway]!
      const after = { ...before, port: asked.port ?? before.port, database: asked.database ?? before.database }
      host.patch([{ path: ['gateways', before.id], value: after }])
      return after
    }
    case 'gateway.test':
      return {
        ok: false,
        totalMs: 231.4,
        steps: [
          { name: 'Certificate', ok: true, ms: 0.4, text: null },
          { name: 'Access server', ok: true, ms: 18.2, text: null },
          {
            name: 'PostgreSQL login',
            ok: false,
            ms: 212.8,
            text: 'FATAL: database "orders" is not accepting connections',
          },
          { name: 'Query', ok: false, ms: 0, text: null },
        ],
      }
    case 'profile.select':
      host.patch([{ path: ['currentProfile'], value: asked.profile }])
      return {}
    case 'profile.list':
      return { profiles: Object.values(host.state.profiles), current: host.state.currentProfile }
    case 'login.ask':
      return loginPrompt(asked.profile)
    case 'settings.update':
      host.patch([{ path: ['settings'], value: { ...host.state.settings, ...Object(params) } }])
      return host.state.settings
    case 'diagnostics.bundle':
      return { id: 'diag-4f1c', file: '/home/alice/.postern/diagnostics/diag-4f1c.txt', text: 'postern 0.1.0\n' }
    default:
      return {}
  }
}

const loginPrompt = (name: string) => ({
  requestId: 'login-1',
  profile: name,
  user: 'alice',
  reason: { kind: 'command', what: 'Postern' },
  waiting: 0,
  totp: false,
})
