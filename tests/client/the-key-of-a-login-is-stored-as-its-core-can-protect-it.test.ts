// How a core stores the key of a login: plainly, or wrapped by a key store it asks over a port. A key store that cannot open, is
// gone or hangs makes a signed-out profile and a notice, never a core that hangs or a file that is lost.
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { KeyQuestion, type KeyAnswer, type KeyStorePort } from '../../client/profiles/desktop-key-protection.ts'
import { AppState } from '../../shared/app-state.ts'
import { TestCore, waitUntil, type TestCoreOptions, type TestHost } from '../support/client-core.ts'

const NAMED: KeyAnswer['store'] = { isThere: true, name: 'a fake keyring' }
const MISSING: KeyAnswer['store'] = { isThere: false, why: 'there is no keyring' }

/** The desktop's end of the port. What it wraps is not encrypted, but not readable in a file either. */
class FakeKeyStore implements KeyStorePort {
  store = NAMED
  isHung = false
  problem: string | null = null
  readonly asked: string[] = []
  readonly #listeners: ((event: { data: unknown }) => void)[] = []
  readonly #held: (() => void)[] = []

  on(_event: 'message', listener: (event: { data: unknown }) => void): void {
    this.#listeners.push(listener)
  }
  postMessage(message: unknown): void {
    const question = KeyQuestion.parse(message)
    this.asked.push(question.kind)
    const answer = (): void => this.say({ keyAnswer: question.keyQuestion, ...this.#answerTo(question) })
    if (this.isHung) this.#held.push(answer)
    else setImmediate(answer)
  }
  say(data: unknown): void {
    for (const listener of this.#listeners) listener({ data })
  }
  /** It wakes up and answers what it was asked long ago. */
  wake(): void {
    this.isHung = false
    for (const answer of this.#held.splice(0)) answer()
  }
  #answerTo(question: KeyQuestion): Omit<KeyAnswer, 'keyAnswer'> {
    const { store, problem } = this
    if (!store.isThere || question.kind === 'look' || problem !== null) {
      return { store, value: null, problem: question.kind === 'look' ? null : problem }
    }
    const value =
      question.kind === 'protect'
        ? Buffer.from(`wrapped:${question.keyPem}`).toString('base64')
        : Buffer.from(question.wrapped, 'base64').toString().replace('wrapped:', '')
    return { store, value, problem: null }
  }
}

describe('the key of a login', () => {
  let test: TestCore
  let host: TestHost
  const userFile = (): string => join(test.home.profilesDir, 'test.user.pem')
  const stored = (): Promise<string> => readFile(userFile(), 'utf8')
  const state = async () => (await host.core.call('profile.list', {})).profiles[0]?.state
  const protectionNow = async () =>
    AppState.parse((await host.core.call('state.subscribe', {})).state).core.keyProtection

  const start = async (options: TestCoreOptions = {}): Promise<void> => {
    test = await TestCore.start(options)
    host = await test.attach()
  }
  const restart = async (keyStore: TestCoreOptions['keyStore']): Promise<void> => {
    await test.core.stop()
    test.keyStore = keyStore
    await test.restart()
    host = await test.attach()
  }
  afterEach(() => test.close())

  it('G17: goes to disk wrapped, never plainly, and is opened by the next core of the desktop', async () => {
    const port = new FakeKeyStore()
    await start({ keyStore: { port } })
    await test.login(host)
    expect(await stored()).not.toContain('PRIVATE KEY')
    expect(JSON.parse((await stored()).split('\n')[0]!)).toEqual({
      version: 1,
      protectedBy: 'desktop',
      wrapped: expect.stringMatching(/^[A-Za-z0-9+/=]+$/),
    })
    expect((await stat(userFile())).mode & 0o777).toBe(0o600)
    expect(await protectionNow()).toMatch(/wrapped by the system's key store \(a fake keyring\)/)
    await restart({ port })
    expect(await state()).toBe('ready')
    await host.core.call('resource.list', {})
    expect(test.log.join('')).not.toContain('PRIVATE KEY')
  })

  it('G17: a plain one stays readable for the desktop and is wrapped at the next login', async () => {
    await start()
    await test.login(host)
    const plain = await stored()
    expect(plain).toContain('PRIVATE KEY')
    expect(await protectionNow()).toMatch(/mode 0600.*not wrapped/)
    const port = new FakeKeyStore()
    await restart({ port })
    expect(await state()).toBe('ready')
    expect(port.asked).not.toContain('open')
    expect(await stored()).toBe(plain)
    await test.submit(host)
    expect(await stored()).not.toContain('PRIVATE KEY')
  })

  it('G17: a wrapped one without the desktop is a signed-out profile and a notice; the file stays until the next login', async () => {
    await start({ keyStore: { port: new FakeKeyStore() } })
    await test.login(host)
    const wrapped = await stored()
    await restart(undefined)
    expect(await host.next('notice')).toMatchObject({
      level: 'error',
      text: expect.stringMatching(/test\.user\.pem.*only the desktop app can ask.*log in to test again/),
    })
    expect(await state()).toBe('signed out')
    expect(await stored()).toBe(wrapped)
    await test.submit(host)
    expect(await state()).toBe('ready')
    expect(await stored()).toContain('PRIVATE KEY')
  })

  it.each([
    ['refuses', /did not open it: the keyring is locked/],
    ['is gone', /did not open it: there is no keyring/],
  ])('G17: a key store that %s makes a signed-out profile that says why', async (what, text) => {
    const port = new FakeKeyStore()
    await start({ keyStore: { port } })
    await test.login(host)
    const wrapped = await stored()
    if (what === 'refuses') port.problem = 'the keyring is locked'
    else port.store = MISSING
    await restart({ port })
    expect(await host.next('notice')).toMatchObject({ text: expect.stringMatching(text) })
    expect(await state()).toBe('signed out')
    expect(await stored()).toBe(wrapped)
  })

  it('G17: what is on disk torn or of another version is not used and not lost', async () => {
    const port = new FakeKeyStore()
    await start({ keyStore: { port } })
    await test.login(host)
    const wrapped = await stored()
    for (const text of [wrapped.replace('"version":1', '"version":2'), wrapped.replace('"wrapped"', '"wra')]) {
      await test.core.stop()
      await writeFile(userFile(), text)
      await test.restart()
      host = await test.attach()
      expect(await host.next('notice')).toMatchObject({ text: expect.stringContaining('cannot read') })
      expect(await state()).toBe('signed out')
      expect(await stored()).toBe(text)
    }
  })

  it('G17: a key store that hangs delays the start by its deadline, fails a login with its reason, and is taken back when it wakes', async () => {
    const port = new FakeKeyStore()
    await start({ keyStore: { port, deadlineMs: 100 } })
    await test.login(host)
    const wrapped = await stored()
    port.isHung = true
    await restart({ port, deadlineMs: 100 })
    expect(await host.next('notice')).toMatchObject({
      text: expect.stringMatching(/did not answer within 0.1 s; log in to test again/),
    })
    expect(await protectionNow()).toMatch(/has not answered/)
    await expect(test.submit(host)).rejects.toMatchObject({
      code: 'misconfigured',
      message: expect.stringMatching(/could not be stored.*did not answer.*log in again/),
    })
    expect(await state()).toBe('signed out')
    expect(await stored()).toBe(wrapped)
    // Late answers are heard: the key store is back, as every window is told.
    port.wake()
    await waitUntil(async () => /a fake keyring/.test((await protectionNow()) ?? ''), 'the key store is back')
    await test.submit(host)
    expect(await state()).toBe('ready')
    expect(await stored()).not.toContain('PRIVATE KEY')
  })

  it('G17: without a key store on the desktop it is a 0600 file, and that is said; nonsense on the port changes nothing', async () => {
    const port = new FakeKeyStore()
    port.store = MISSING
    await start({ keyStore: { port } })
    await host.core.call('state.subscribe', {})
    for (const nonsense of [null, 'text', { keyAnswer: 1 }, { keyAnswer: 1, store: NAMED, value: 5, problem: null }]) {
      port.say(nonsense)
    }
    await test.login(host)
    expect(await stored()).toContain('PRIVATE KEY')
    expect((await stat(userFile())).mode & 0o777).toBe(0o600)
    expect(await protectionNow()).toMatch(/mode 0600.*not wrapped by the system's key store: there is no keyring/)
  })

  it('G17: a change of the key store is told to windows that are open', async () => {
    const port = new FakeKeyStore()
    await start({ keyStore: { port } })
    await waitUntil(async () => /a fake keyring/.test((await protectionNow()) ?? ''), 'the key store is known')
    port.say({ keyAnswer: 99, store: MISSING, value: null, problem: null } satisfies KeyAnswer)
    const isTold = (): boolean => JSON.stringify(host.all('state.patch')).includes('there is no keyring')
    await waitUntil(isTold, 'the patch')
  })

  it('G17: a core that ends does not wait for the key store', async () => {
    const port = new FakeKeyStore()
    await start({ keyStore: { port } })
    await host.core.call('profile.add', { address: test.server.address, caPin: test.server.ca.fingerprint })
    port.isHung = true
    const submitting = test.submit(host).catch((error: unknown) => error)
    await waitUntil(() => port.asked.includes('protect'), 'it is asked')
    await test.core.stop()
    expect(await submitting).toBeInstanceOf(Error)
  })
})
