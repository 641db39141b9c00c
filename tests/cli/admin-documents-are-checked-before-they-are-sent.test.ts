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
  ['broken YAML', 'kind: [', 'document 1 (line 1): not YAML'],
  ['an empty file', '', 'shop.yaml has no document'],
]
it.each(mistakes)('E3: %s is named with file, document and key', (_what, text, message) => {
  expect(() => parseDocuments('shop.yaml', text)).toThrow(message)
})
