// The system's key store for the core that this app started: wraps and opens the key of a login with Electron's safeStorage, which
// only the main process has. Called by core-launcher.ts with what the core asks (client/profiles/desktop-key-protection.ts).
// Promises that nothing is called protected that is not, and that no key gets into a text.
import { KeyQuestion, type KeyAnswer } from '../client/profiles/desktop-key-protection.ts'

/** As much of Electron's safeStorage as is used. */
export type SafeStorage = {
  isAsyncEncryptionAvailable(): Promise<boolean>
  encryptStringAsync(plainText: string): Promise<Buffer>
  decryptStringAsync(encrypted: Buffer): Promise<{ result: string }>
  /** Linux only. */
  getSelectedStorageBackend(): string
}

export type KeyStore = {
  /**
   * Answers a message of the core; undefined if it is no question. Never rejects. May never resolve if the key store hangs: whoever
   * asks has the deadline, since nothing here can be taken back.
   */
  answer(message: unknown): Promise<KeyAnswer | undefined>
}

/** Where Electron keeps its key on Linux, for people. `basic_text`, a key that everybody knows, is none of them. */
const LINUX_STORES: Readonly<Record<string, string>> = {
  gnome_libsecret: 'the GNOME keyring (libsecret)',
  kwallet: 'KWallet',
  kwallet5: 'KWallet',
  kwallet6: 'KWallet',
}

const OTHER_STORES: Readonly<Partial<Record<NodeJS.Platform, string>>> = {
  darwin: 'the macOS keychain',
  win32: 'the data protection of your Windows account (DPAPI)',
}

/** Electron must be ready when the first question comes. */
export function createKeyStore(safeStorage: SafeStorage, platform: NodeJS.Platform): KeyStore {
  const look = async (): Promise<KeyAnswer['store']> => {
    if (!(await safeStorage.isAsyncEncryptionAvailable())) return none('this system offers the app none')
    if (platform !== 'linux') return { isThere: true, name: OTHER_STORES[platform] ?? 'of this system' }
    const backend = safeStorage.getSelectedStorageBackend()
    const name = LINUX_STORES[backend]
    if (name !== undefined) return { isThere: true, name }
    return none(
      backend === 'basic_text'
        ? 'this desktop has no keyring that the app can use, and what takes its place (basic_text) would protect nothing'
        : `the app does not know the key store of this desktop (${backend})`,
    )
  }

  const answerTo = async (question: KeyQuestion): Promise<KeyAnswer> => {
    const answer = { keyAnswer: question.keyQuestion, value: null, problem: null }
    let store: KeyAnswer['store']
    try {
      store = await look()
    } catch (error) {
      return { ...answer, store: none(`it could not be asked (${textOf(error)})`) }
    }
    if (!store.isThere || question.kind === 'look') return { ...answer, store }
    try {
      if (question.kind === 'protect') {
        const wrapped = await safeStorage.encryptStringAsync(question.keyPem)
        return { ...answer, store, value: wrapped.toString('base64') }
      }
      // Whether it should be wrapped anew is not looked at: the next login, hours away, does that.
      const { result } = await safeStorage.decryptStringAsync(Buffer.from(question.wrapped, 'base64'))
      return { ...answer, store, value: result }
    } catch (error) {
      return { ...answer, store, problem: `the system's key store refused (${textOf(error)})` }
    }
  }

  return {
    answer: async (message) => {
      const question = KeyQuestion.safeParse(message)
      return question.success ? answerTo(question.data) : undefined
    },
  }
}

const none = (why: string): KeyAnswer['store'] => ({ isThere: false, why })

/** What Electron says, in one line of bounded length. It was given a key or a wrapped one, and names neither. */
const textOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, ' ').slice(0, 200)
