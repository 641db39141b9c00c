// W7, E3: the settings of single sign-on are whole or refused, and what is wrong is named.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { loadConfig } from '../../server/config.ts'

let directory: string
let file: string
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'postern-config-'))
  file = path.join(directory, 'postern.yaml')
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const load = async (oidc: string) => {
  await writeFile(file, `oidc: ${oidc}\n`)
  return loadConfig(file).oidc
}
const ISSUER = 'issuer: "https://id.example.com/realm"'

it.each([
  ['an id without a secret', `{ ${ISSUER}, clientId: p }`, 'oidc.clientSecret: it is missing: give clientSecret or'],
  ['a secret without an id', `{ ${ISSUER}, clientSecret: s }`, 'oidc.clientId: the id that the identity provider'],
  ['no issuer', '{ clientId: p, clientSecret: s }', 'oidc.issuer: the address of the identity provider is missing'],
  ['an empty secret', `{ ${ISSUER}, clientId: p, clientSecret: "" }`, 'oidc.clientSecret: it is empty'],
  [
    'two secrets',
    `{ ${ISSUER}, clientId: p, clientSecret: s, clientSecretFile: f }`,
    'oidc.clientSecretFile: clientSecret is given as well',
  ],
  ['a file that is not there', `{ ${ISSUER}, clientId: p, clientSecretFile: nowhere }`, 'oidc.clientSecretFile: '],
  ['an empty section', '{}', 'oidc.issuer: '],
  ['plain http', '{ issuer: "http://id.example.com", clientId: p, clientSecret: s }', 'oidc.issuer: the identity'],
  [
    'plain http of another machine, whatever is allowed',
    '{ issuer: "http://10.0.0.1", clientId: p, clientSecret: s, allowInsecureLoopbackIssuer: true }',
    'oidc.issuer: the identity provider is asked over https only',
  ],
  [
    'plain http of this machine without a word',
    '{ issuer: "http://127.0.0.1:1", clientId: p, clientSecret: s }',
    'oidc.issuer: without TLS only with allowInsecureLoopbackIssuer',
  ],
  ['no address', '{ issuer: "id.example.com", clientId: p, clientSecret: s }', 'oidc.issuer: "id.example.com" is not'],
  ['scopes without openid', `{ ${ISSUER}, clientId: p, clientSecret: s, scopes: [email] }`, 'oidc.scopes: openid is'],
  ['a claim that anybody sets', `{ ${ISSUER}, clientId: p, clientSecret: s, personClaim: name }`, 'oidc.personClaim: '],
  [
    'a CA file that is none',
    `{ ${ISSUER}, clientId: p, clientSecret: s, caFile: postern.yaml }`,
    'oidc.caFile: this is',
  ],
  ['a slip of the finger', `{ ${ISSUER}, clientid: p, clientSecret: s }`, 'oidc.clientId'],
  ['a name with a line end', `{ ${ISSUER}, clientId: p, clientSecret: s, name: "a\\nb" }`, 'oidc.name: '],
])('W7, E3: %s', async (_what, oidc, text) => {
  const error: unknown = await load(oidc).catch((cause: unknown) => cause)
  expect(error).toMatchObject({ code: 'misconfigured' })
  expect(error instanceof Error && error.message).toContain(`${file}: ${text}`)
})

it('W7: a whole one has its defaults, reads the secret from its file, and prints it nowhere', async () => {
  await writeFile(path.join(directory, 'secret'), 'very secret\n')
  const oidc = await load(`{ ${ISSUER}, clientId: p, clientSecretFile: secret }`)
  expect(oidc).toMatchObject({
    clientId: 'p',
    name: 'id.example.com',
    scopes: ['openid', 'email'],
    personClaim: 'email',
  })
  expect(oidc?.clientSecret.reveal()).toBe('very secret')
  expect(inspect(oidc) + JSON.stringify(oidc)).not.toContain('very secret')
  const byName = await load(`{ ${ISSUER}, clientId: p, clientSecret: s, personClaim: preferred_username }`)
  expect(byName?.scopes).toEqual(['openid', 'profile'])
})

it('W7: without the section there is no provider', async () => {
  await writeFile(file, '')
  expect(loadConfig(file).oidc).toBeUndefined()
})
