// C1: what the master key seals opens only under that key and in that place; its file is nobody else's; secrets do not print.
import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { inspect } from 'node:util'
import fc from 'fast-check'
import pino from 'pino'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createMasterKey, loadMasterKey } from '../../server/secrets/master-key.ts'
import { Secret } from '../../server/secrets/secret.ts'

let directory: string
const file = (name = 'master.key') => path.join(directory, name)
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'postern-key-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const misconfigured = expect.objectContaining({ code: 'misconfigured' }) as Error

it('C1: any text comes back as it was, never twice the same on disk', async () => {
  const key = await createMasterKey(file())
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.string(), (text, context) => {
      const sealed = key.seal(new Secret(text), context)
      expect(key.open(sealed, context).reveal()).toBe(text)
      expect(key.seal(new Secret(text), context)).not.toBe(sealed)
    }),
  )
})

it('C1: another place, another key or one changed character does not open', async () => {
  const key = await createMasterKey(file())
  const other = await createMasterKey(file('other.key'))
  const sealed = key.seal(new Secret('hunter2'), 'users:totp_sealed:alice')
  expect(() => key.open(sealed, 'users:totp_sealed:bob')).toThrow(misconfigured)
  expect(() => other.open(sealed, 'users:totp_sealed:alice')).toThrow(/other\.key is not the master key/)
  fc.assert(
    fc.property(fc.nat(sealed.length - 1), fc.constantFrom('A', 'z', '!', ''), (at, character) => {
      const changed = sealed.slice(0, at) + character + sealed.slice(at + 1)
      // Bits of the last base64 character that no byte uses may differ without meaning anything.
      fc.pre(
        !Buffer.from(changed.slice(3), 'base64').equals(Buffer.from(sealed.slice(3), 'base64')) ||
          !changed.startsWith('v1:'),
      )
      expect(() => key.open(changed, 'users:totp_sealed:alice')).toThrow(misconfigured)
    }),
  )
})

it('C1: the file is made 0600, once, and read again', async () => {
  const made = await createMasterKey(file())
  expect((await stat(file())).mode & 0o777).toBe(0o600)
  expect((await stat(file())).size).toBe(32)
  const sealed = made.seal(new Secret('x'), 'a:b:c')
  expect((await loadMasterKey(file())).open(sealed, 'a:b:c').reveal()).toBe('x')
  await expect(createMasterKey(file())).rejects.toMatchObject({ code: 'conflict' })
})

it('E3: a file that others can read, that is missing or too short is named with what to do', async () => {
  await createMasterKey(file())
  await chmod(file(), 0o640)
  await expect(loadMasterKey(file())).rejects.toThrow(`chmod 600 ${file()}`)
  await expect(loadMasterKey(file('none'))).rejects.toThrow(/is missing; .*postern server init/)
  await writeFile(file('short'), 'short', { mode: 0o600 })
  await expect(loadMasterKey(file('short'))).rejects.toThrow(/has 5 bytes instead of 32/)
  await expect(createMasterKey(file('no/such/folder'))).rejects.toEqual(misconfigured)
})

it('a secret prints as [redacted] wherever it turns up', () => {
  const secret = new Secret('hunter2')
  const lines: string[] = []
  pino({}, { write: (line) => void lines.push(line) }).info({ secret, deep: { secret } }, 'with a secret')
  for (const text of [
    String(secret),
    JSON.stringify({ secret }),
    inspect({ a: { b: { c: { secret } } } }, { depth: 9, showHidden: true }),
    lines.join(),
  ]) {
    expect(text).toContain('[redacted]')
    expect(text).not.toContain('hunter2')
  }
  expect(secret.reveal()).toBe('hunter2')
})
