// Roles as pure functions: rules, wildcards, unions, defaults.
import { describe, expect, it } from 'vitest'
import { ResourceSpec, RoleSpec } from '../../shared/admin-api.ts'
import { allowanceFor, allowedAccounts, viewOf, type HeldRole } from '../../server/access/roles.ts'

const orders = ResourceSpec.parse({
  kind: 'resource',
  name: 'orders',
  protocol: 'postgres',
  address: 'db:5432',
  labels: { env: 'prod', team: 'shop' },
  defaultDatabase: 'shop',
  accounts: [{ name: 'reader' }, { name: 'writer' }],
})
const held = (rule: object, until: Date | null = null): HeldRole => ({
  role: RoleSpec.parse({ kind: 'role', name: 'r', allow: [rule] }),
  until,
})
const any = { accounts: ['*'] }

describe('which resources', () => {
  it.each([
    ['its name', { resources: ['orders'], ...any }, true],
    ['any name', { resources: ['*'], ...any }, true],
    ['another name', { resources: ['invoices'], ...any }, false],
    ['all of the labels', { labels: { env: 'prod', team: 'shop' }, ...any }, true],
    ['one label that is another', { labels: { env: 'prod', team: 'data' }, ...any }, false],
    ['a label that it lacks', { labels: { region: 'eu' }, ...any }, false],
    ['another name, but its labels', { resources: ['invoices'], labels: { env: 'prod' }, ...any }, true],
    ['no labels at all', { labels: {}, ...any }, false],
    ['no names at all', { resources: [], ...any }, false],
  ])('a rule with %s', (_what, rule, isAllowed) => {
    expect(viewOf(orders, [held(rule)]) !== undefined).toBe(isAllowed)
  })

  it('no roles allow nothing', () => expect(viewOf(orders, [])).toBeUndefined())
})

describe('which accounts and databases', () => {
  it('accounts come in the order of the resource, and only those it has', () => {
    expect(allowedAccounts(orders, [held({ resources: ['*'], accounts: ['ghost', 'writer', 'reader'] })])).toEqual([
      'reader',
      'writer',
    ])
    expect(allowanceFor(orders, 'ghost', [held({ resources: ['*'], accounts: ['*'] })])).toBeUndefined()
  })

  it('databases of an account are those of all rules that allow it, and of no others', () => {
    const roles = [
      held({ resources: ['orders'], accounts: ['reader'], databases: ['a', 'b'] }),
      held({ resources: ['orders'], accounts: ['reader'], databases: ['b', 'c'] }),
      held({ resources: ['orders'], accounts: ['writer'], databases: ['*'] }),
    ]
    expect(allowanceFor(orders, 'reader', roles)?.databases).toEqual(['a', 'b', 'c'])
    expect(allowanceFor(orders, 'writer', roles)?.databases).toEqual(['*'])
  })

  it('the default database is the resource’s own, unless the default account may not open it', () => {
    const view = (databases: string[]) =>
      viewOf(orders, [held({ resources: ['orders'], accounts: ['reader'], databases })])
    expect(view(['*'])?.defaultDatabase).toBe('shop')
    expect(view(['other', 'shop'])?.defaultDatabase).toBe('shop')
    expect(view(['other', 'more'])?.defaultDatabase).toBe('other')
    expect(view(['other'])?.databases).toEqual(['other'])
  })
})

it.each([['tcp'], ['*']])(
  'DB6: accounts %s of a rule allow the one account of a tcp resource, which has no databases',
  (account) => {
    const cache = ResourceSpec.parse({ kind: 'resource', name: 'cache', protocol: 'tcp', address: 'cache1:6400' })
    const role = RoleSpec.parse({ kind: 'role', name: 'r', allow: [{ resources: ['cache'], accounts: [account] }] })
    expect(viewOf(cache, [{ role, until: null }])).toMatchObject({
      protocol: 'tcp',
      accounts: ['tcp'],
      defaultAccount: 'tcp',
      databases: [],
      defaultDatabase: '',
    })
    const other = RoleSpec.parse({ kind: 'role', name: 'r', allow: [{ resources: ['cache'], accounts: ['reader'] }] })
    expect(viewOf(cache, [{ role: other, until: null }])).toBeUndefined()
  },
)

it('C2: access lasts until the latest grant that gives it ends', () => {
  const rule = { resources: ['orders'], accounts: ['reader'] }
  const early = new Date('2026-01-01T00:00:00Z')
  const late = new Date('2026-02-01T00:00:00Z')
  const until = (...ends: (Date | null)[]) =>
    allowanceFor(
      orders,
      'reader',
      ends.map((end) => held(rule, end)),
    )?.until
  expect(until(early)).toEqual(early)
  expect(until(early, late)).toEqual(late)
  expect(until(late, null, early)).toBeNull()
})
