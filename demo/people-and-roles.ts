// Who may do what in the demo, as the documents of `postern admin apply`. Used by set-up.ts. Pure.
import type { AdminDocument } from '../shared/admin-api.ts'
import { TCP_ACCOUNT } from '../shared/names.ts'
import type { DemoState } from './demo-state.ts'

type ResourceDocument = Extract<AdminDocument, { kind: 'resource' }>

const RESOURCES = [
  {
    name: 'orders',
    description: 'The shop: customers, orders, payments',
    labels: { env: 'prod', team: 'shop' },
    accounts: ['reader', 'writer', 'owner'],
  },
  {
    name: 'analytics',
    description: 'Sales and page views, a row a day',
    labels: { env: 'prod', team: 'data' },
    accounts: ['reader', 'owner'],
  },
  {
    name: 'playground',
    description: 'Nothing here matters',
    labels: { env: 'dev' },
    accounts: ['writer', 'reader', 'owner'],
  },
] as const

const GREETER = 'greeter'

/** What the ready line and the printed help say about the resources. */
export const describeResources = () => [
  ...RESOURCES.map(({ name, accounts }) => ({
    name,
    protocol: 'postgres' as const,
    accounts: [...accounts],
    defaultAccount: accounts[0],
    databases: [name],
  })),
  { name: GREETER, protocol: 'tcp' as const, accounts: [TCP_ACCOUNT], defaultAccount: TCP_ACCOUNT, databases: [] },
]

/** carol, the administrator, is made by the setup code; everybody and everything else is declared here. */
export const ADMINISTRATOR = 'carol'

export const PEOPLE = {
  alice: 'developer: reads and writes orders, writes playground, reaches greeter',
  bob: 'analyst, with TOTP: reads analytics only',
  carol: 'administrator: everything, and the audit log',
} as const

export function demoDocuments(state: DemoState): AdminDocument[] {
  const resources: ResourceDocument[] = RESOURCES.map(({ name, description, labels, accounts }) => ({
    kind: 'resource',
    name,
    protocol: 'postgres',
    description,
    address: `127.0.0.1:${state.postgresPort}`,
    labels: { ...labels },
    via: 'direct',
    // The demo's PostgreSQL is on this machine's loopback and has no certificate.
    tls: { mode: 'disable' },
    defaultDatabase: name,
    accounts: accounts.map((account) => ({ name: account, password: state.accounts[account] ?? '' })),
  }))
  const greeter: ResourceDocument = {
    kind: 'resource',
    name: GREETER,
    protocol: 'tcp',
    description: 'A line service on plain TCP: nc is enough',
    address: `127.0.0.1:${state.greeterPort}`,
    labels: { env: 'dev', team: 'platform' },
    via: 'direct',
    accounts: [{ name: TCP_ACCOUNT }],
  }
  const people: AdminDocument[] = state.people
    .filter(({ name }) => name !== ADMINISTRATOR)
    .map(({ name, password, totpSecret }) => ({
      kind: 'user',
      name,
      email: `${name}@shop.example`,
      level: 'none',
      disabled: false,
      password,
      ...(totpSecret === undefined ? {} : { totpSecret }),
    }))
  return [
    ...resources,
    greeter,
    {
      kind: 'role',
      name: 'developer',
      description: 'Orders as reader or writer, and everything that is not production',
      allow: [
        { resources: ['orders'], accounts: ['reader', 'writer'], databases: ['orders'] },
        { labels: { env: 'dev' }, accounts: ['writer', 'reader'], databases: ['playground'] },
        { resources: [GREETER], accounts: [TCP_ACCOUNT], databases: ['*'] },
      ],
    },
    {
      kind: 'role',
      name: 'analyst',
      description: 'Reads the numbers, not the customers',
      allow: [{ resources: ['analytics'], accounts: ['reader'], databases: ['analytics'] }],
    },
    {
      kind: 'role',
      name: 'database-admin',
      description: 'Every resource as anybody',
      allow: [{ resources: ['*'], accounts: ['*'], databases: ['*'] }],
    },
    ...people,
    { kind: 'grant', user: 'alice', role: 'developer', until: null },
    { kind: 'grant', user: 'bob', role: 'analyst', until: null },
    { kind: 'grant', user: ADMINISTRATOR, role: 'database-admin', until: null },
  ]
}
