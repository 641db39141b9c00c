// Key protection of a core that the desktop app started: Electron's safeStorage lives in the app's main process, so the core asks
// its parent over a port. Called by core.ts; the other end is electron/key-protection.ts. A key store that hangs hangs nothing here.
import { z } from 'zod'
import { PosternError } from '../../shared/errors.ts'
import { describePlain, storedWrapped, wrappedKeyIn, type KeyProtection } from './key-protection.ts'

/** What the core asks; `keyQuestion` is the number that the answer repeats. */
export const KeyQuestion = z.discriminatedUnion('kind', [
  z.strictObject({ keyQuestion: z.int(), kind: z.literal('look') }),
  z.strictObject({ keyQuestion: z.int(), kind: z.literal('protect'), keyPem: z.string() }),
  z.strictObject({ keyQuestion: z.int(), kind: z.literal('open'), wrapped: z.base64() }),
])
export type KeyQuestion = z.infer<typeof KeyQuestion>

export const KeyAnswer = z.strictObject({
  keyAnswer: z.int(),
  /** The key store that protects keys, by its name, or why none does. */
  store: z.discriminatedUnion('isThere', [
    z.strictObject({ isThere: z.literal(true), name: z.string() }),
    z.strictObject({ isThere: z.literal(false), why: z.string() }),
  ]),
  /** The wrapped key as base64, or the opened one; null where none was asked for, or no store is there, or it failed. */
  value: z.string().nullable(),
  /** Why it failed, for people; never with a key in it. */
  problem: z.string().nullable(),
})
export type KeyAnswer = z.infer<typeof KeyAnswer>

/** `process.parentPort` of a utility process, as far as it is needed. */
export type KeyStorePort = {
  postMessage(message: unknown): void
  on(event: 'message', listener: (event: { data: unknown }) => void): unknown
}

/** A key store that asks the person something may take longer; then the login is asked for again. In ms. */
const ANSWER_DEADLINE_MS = 10_000

type Options = {
  port: KeyStorePort
  /** `describe()` says something else than before. */
  onChanged: () => void
  /** The life of the core. */
  signal: AbortSignal
  deadlineMs?: number | undefined
}

/** Asks at once what the key store is; nothing waits for that. */
export function createDesktopKeyProtection(options: Options): KeyProtection {
  const { port, signal, deadlineMs = ANSWER_DEADLINE_MS } = options
  const waiting = new Map<number, (answer: KeyAnswer) => void>()
  let store: KeyAnswer['store'] | undefined
  let nextId = 1

  port.on('message', ({ data }) => {
    const parsed = KeyAnswer.safeParse(data)
    if (!parsed.success) return
    // Also from an answer that came too late: what it says of the key store is news.
    store = parsed.data.store
    waiting.get(parsed.data.keyAnswer)?.(parsed.data)
    options.onChanged()
  })

  const ask = async (question: (keyQuestion: number) => KeyQuestion): Promise<KeyAnswer> => {
    const ended = (): PosternError => new PosternError('core_unreachable', 'the Postern core ended')
    if (signal.aborted) throw ended()
    const id = nextId++
    const { promise, resolve, reject } = Promise.withResolvers<KeyAnswer>()
    const onEnd = (): void => reject(ended())
    const onLate = (): void => {
      store = undefined
      options.onChanged()
      reject(new PosternError('misconfigured', `the system's key store did not answer within ${deadlineMs / 1000} s`))
    }
    // Not AbortSignal.timeout(): while this is all that a starting core waits for, the timer has to keep it alive.
    const timer = setTimeout(onLate, deadlineMs)
    signal.addEventListener('abort', onEnd, { once: true })
    waiting.set(id, resolve)
    try {
      port.postMessage(question(id))
      return await promise
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', onEnd)
      waiting.delete(id)
    }
  }

  // Its answer, or that none came, is kept above.
  ask((keyQuestion) => ({ keyQuestion, kind: 'look' })).catch(() => undefined)

  return {
    describe() {
      if (store === undefined) {
        return "The system's key store has not answered. Until it does, no new login is stored; one that was stored before stays as it is."
      }
      if (!store.isThere) return describePlain(store.why)
      return (
        `The key of your login is wrapped by the system's key store (${store.name}) before it is stored in a file that only ` +
        'you can read (mode 0600). One that was stored without the desktop app stays as it is until the next login.'
      )
    },
    async protect(keyPem) {
      const answer = await ask((keyQuestion) => ({ keyQuestion, kind: 'protect', keyPem })).catch((error: unknown) => {
        throw notStored(error instanceof PosternError ? error.message : "the system's key store cannot be asked", error)
      })
      if (answer.value !== null) return storedWrapped(answer.value)
      if (!answer.store.isThere) return keyPem
      throw notStored(answer.problem ?? "the system's key store gave nothing back")
    },
    async open(stored) {
      const wrapped = wrappedKeyIn(stored)
      if (wrapped === undefined) return stored
      const { value, problem, store: asked } = await ask((keyQuestion) => ({ keyQuestion, kind: 'open', wrapped }))
      if (value !== null) return value
      const why = problem ?? (asked.isThere ? 'it gave nothing back' : asked.why)
      throw new PosternError(
        'unsupported',
        `its key is wrapped by the system's key store, which did not open it: ${why}`,
      )
    },
  }
}

const notStored = (why: string, cause?: unknown): PosternError =>
  new PosternError(
    'misconfigured',
    `your login could not be stored: ${why}; unlock or repair the key store and log in again, ` +
      'or quit the app and log in with `postern login`, which stores it without the key store',
    { cause },
  )
