// How the desktop app stores the key of a login: wrapped where the system has a key store, plainly where not, and said as it is.
// The whole way: page, main process, core over its parent port, the fake's safeStorage, and the file.
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connectToCore } from '../../client/connect.ts'
import { createKeyStore, type SafeStorage } from '../../electron/key-protection.ts'
import { AppState } from '../../shared/app-state.ts'
import { FakeAccessServer, PASSWORD } from '../support/fake-access-server.ts'
import { until } from '../support/run.ts'
import { Desktop } from './desktop.ts'

const PLAIN = /^-----BEGIN (EC )?PRIVATE KEY-----/

describe('the desktop app', () => {
  let home: string
  let server: FakeAccessServer
  const open: Desktop[] = []

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'postern-desktop-'))
    server = await new FakeAccessServer().start()
  })
  afterEach(async () => {
    await Promise.all(open.splice(0).map((desktop) => desktop.close()))
    await server.close()
    await rm(home, { recursive: true, force: true })
  })

  const start = async (keyStore: string): Promise<Desktop> => {
    const desktop = await Desktop.start({ home, env: { FAKE_KEY_STORE: keyStore } })
    open.push(desktop)
    return desktop.reachesCore()
  }
  const logIn = async (desktop: Desktop) => {
    await desktop.call('profile.add', { address: server.address, caPin: server.ca.fingerprint })
    return desktop.call('login.submit', { user: 'alice', password: PASSWORD })
  }
  const stored = (): Promise<string> => readFile(join(home, 'profiles', 'test.user.pem'), 'utf8')
  const stateOf = async (desktop: Desktop): Promise<unknown> => {
    const { result } = await desktop.call('profile.list')
    return (result as { profiles: { state: string }[] }).profiles[0]?.state
  }
  const says = async (desktop: Desktop, text: RegExp): Promise<void> =>
    until(
      async () => {
        const { result } = await desktop.call('shell.describe')
        return text.test((result as { keyProtection: string }).keyProtection)
      },
      `the about page says ${String(text)}`,
    )

  it('G17: wraps the key with the keyring, opens it at the next start; a terminal without it is signed out and told why', async () => {
    const first = await start('gnome_libsecret')
    expect(await logIn(first)).toHaveProperty('result')
    await says(first, /wrapped by the system's key store \(the GNOME keyring/)
    expect(await stored()).not.toContain('PRIVATE KEY')
    expect(JSON.parse((await stored()).split('\n')[0]!)).toMatchObject({ version: 1, protectedBy: 'desktop' })
    expect((await stat(join(home, 'profiles', 'test.user.pem'))).mode & 0o777).toBe(0o600)
    await first.close()

    const second = await start('gnome_libsecret')
    expect(await stateOf(second)).toBe('ready')
    await second.close()

    const before = await stored()
    const terminal = await connectToCore({ home, kind: 'terminal', canAsk: false, appVersion: '0.1.0' })
    const state = AppState.parse((await terminal.call('state.subscribe', {})).state)
    expect(state.profiles['test']?.state).toBe('signed out')
    expect(state.core.keyProtection).toMatch(/not wrapped by the system's key store/)
    expect(Object.values(state.notices).map(({ text }) => text)).toEqual([
      expect.stringMatching(/only the desktop app can ask.*log in to test again/),
    ])
    expect(await stored()).toBe(before)

    // The desktop app uses that core now, which has no key store: it must not claim one.
    const third = await start('gnome_libsecret')
    await says(third, /not wrapped by the system's key store/)
    expect(await logIn(third)).toHaveProperty('result')
    expect(await stored()).toMatch(PLAIN)
    await terminal.call('core.stop', {})
    await terminal.closed
  })

  it.each([
    ['basic_text', /not wrapped.*basic_text\) would protect nothing/],
    ['unavailable', /not wrapped.*offers the app none/],
  ])('G17: with %s the key is stored in a 0600 file and the app says so', async (keyStore, text) => {
    const desktop = await start(keyStore)
    expect(await logIn(desktop)).toHaveProperty('result')
    await says(desktop, text)
    expect(await stored()).toMatch(PLAIN)
    expect((await stat(join(home, 'profiles', 'test.user.pem'))).mode & 0o777).toBe(0o600)
  })

  it('G17: a keyring that refuses stores nothing, and the login says why', async () => {
    const desktop = await start('broken')
    const { error } = await logIn(desktop)
    expect(error?.text).toMatch(/could not be stored.*keyring is locked.*log in again/)
    await expect(stored()).rejects.toThrow('ENOENT')
    expect(await stateOf(desktop)).toBe('signed out')
  })
})

describe('the key store', () => {
  const safeStorage = (changes: Partial<SafeStorage> = {}): SafeStorage => ({
    isAsyncEncryptionAvailable: () => Promise.resolve(true),
    encryptStringAsync: (text) => Promise.resolve(Buffer.from(`wrapped ${text.length}`)),
    decryptStringAsync: () => Promise.resolve({ result: 'opened' }),
    getSelectedStorageBackend: () => 'kwallet6',
    ...changes,
  })
  const look = { keyQuestion: 1, kind: 'look' }

  it('G17: is told by its name on each system; only Linux is asked for its backend', async () => {
    const noBackend = { getSelectedStorageBackend: () => expect.unreachable('Linux only') }
    const store = async (platform: NodeJS.Platform, changes: Partial<SafeStorage>) =>
      (await createKeyStore(safeStorage(changes), platform).answer(look))?.store
    expect(await store('linux', {})).toEqual({ isThere: true, name: 'KWallet' })
    expect(await store('darwin', noBackend)).toEqual({ isThere: true, name: 'the macOS keychain' })
    expect(await store('win32', noBackend)).toMatchObject({ isThere: true })
    for (const backend of ['basic_text', 'unknown', 'something new']) {
      expect(await store('linux', { getSelectedStorageBackend: () => backend })).toMatchObject({ isThere: false })
    }
    expect(await store('darwin', { isAsyncEncryptionAvailable: () => Promise.reject(new Error('no bus')) })).toEqual({
      isThere: false,
      why: 'it could not be asked (no bus)',
    })
  })

  it('G17: answers questions only, and a refusal is an answer', async () => {
    const keyStore = createKeyStore(
      safeStorage({ decryptStringAsync: () => Promise.reject(new Error('not ours')) }),
      'darwin',
    )
    for (const nonsense of [null, 'look', {}, { keyQuestion: 1, kind: 'export' }, { ...look, more: 1 }]) {
      expect(await keyStore.answer(nonsense)).toBeUndefined()
    }
    expect(await keyStore.answer({ keyQuestion: 2, kind: 'protect', keyPem: 'secret' })).toMatchObject({
      keyAnswer: 2,
      value: Buffer.from('wrapped 6').toString('base64'),
      problem: null,
    })
    expect(await keyStore.answer({ keyQuestion: 3, kind: 'open', wrapped: 'AAAA' })).toMatchObject({
      value: null,
      problem: expect.stringContaining('not ours'),
    })
  })
})
