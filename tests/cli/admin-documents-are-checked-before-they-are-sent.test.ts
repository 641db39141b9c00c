import { expect, it } from 'vitest'
import { parseDocuments } from '../../cli/commands/admin-documents.ts'

const GOOD = `
kind: resource
name: orders
protocol: postgres
address: db1:5432
accounts: [{name: reader, password: x}]
---
kind: grant
user: alice
role: developer
`

const TCP = 'kind: resource\nname: cache\nprotocol: tcp\naddress: "[::1]:6400"\n'

it('E3, DB6: a tcp resource is an address; its one account is filled in', () => {
  expect(parseDocuments('cache.yaml', TCP)).toEqual([
    {
      kind: 'resource',
      name: 'cache',
      protocol: 'tcp',
      address: '[::1]:6400',
      description: '',
      labels: {},
      via: 'direct',
      accounts: [{ name: 'tcp' }],
    },
  ])
})

it('E3: good documents are read with their defaults', () => {
  const documents = parseDocuments('shop.yaml', GOOD)
  expect(documents.map(({ kind }) => kind)).toEqual(['resource', 'grant'])
  expect(documents[0]).toMatchObject({ via: 'direct', tls: { mode: 'verify-full' }, defaultDatabase: 'postgres' })
})

const mistakes: [string, string, string][] = [
  [
    'an unknown key',
    `${GOOD}---\nkind: role\nname: r\nalow: []\n`,
    'shop.yaml, document 3 (line 11): alow: there is no such key',
  ],
  [
    'a wrong value',
    GOOD.replace('db1:5432', 'db1'),
    'shop.yaml, document 1 (line 2): address: an address is HOST:PORT',
  ],
  ['an unknown kind', 'kind: rule\nname: x\n', 'document 1 (line 1): kind: must be one of resource, role, user, grant'],
  ['a nested key', GOOD.replace('password: x', 'pass: x'), 'accounts.0.pass: there is no such key'],
  ['an unknown protocol', TCP.replace('tcp', 'udp'), 'protocol: must be one of postgres, tcp'],
  ['TLS of plain TCP', `${TCP}tls: { mode: require }\n`, 'tls: a tcp resource has no tls of its own'],
  ['a database of plain TCP', `${TCP}defaultDatabase: x\n`, 'defaultDatabase: a tcp resource has no database'],
  [
    'an account of plain TCP',
    `${TCP}accounts: [{name: reader}]\n`,
    'accounts.0.name: a tcp resource has one account, tcp',
  ],
  [
    'a password of plain TCP',
    `${TCP}accounts: [{name: tcp, password: x}]\n`,
    'accounts.0.password: a tcp resource has no password',
  ],
  ['no address', 'kind: resource\nname: cache\nprotocol: tcp\n', 'address: '],
  ['broken YAML', 'kind: [', 'document 1 (line 1): not YAML'],
  ['an empty file', '', 'shop.yaml has no document'],
]
it.each(mistakes)('E3: %s is named with file, document and key', (_what, text, message) => {
  expect(() => parseDocuments('shop.yaml', text)).toThrow(message)
})
