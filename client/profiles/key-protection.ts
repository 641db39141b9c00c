// How the key of a login is kept on disk: as it is in the 0600 file (a core of a terminal or the browser host), or wrapped by the
// system's key store (desktop-key-protection.ts). Called by profile-file.ts. What is stored says itself how it is protected.
import { z } from 'zod'
import { PosternError } from '../../shared/errors.ts'

export type KeyProtection = {
  /** How keys are kept, for people. True now; it changes with what the key store says. */
  describe(): string
  /** @returns the text to store. @throws PosternError `misconfigured` if the key store failed or did not answer in time */
  protect(keyPem: string): Promise<string>
  /** @returns the key as PEM. @throws PosternError, whose text says why it cannot be opened here */
  open(stored: string): Promise<string>
}

/** One line in the place of the key's PEM. */
const WrappedKey = z.strictObject({
  version: z.literal(1),
  protectedBy: z.literal('desktop'),
  /** As the key store made it, base64. */
  wrapped: z.base64().min(1),
})

export const storedWrapped = (wrapped: string): string =>
  JSON.stringify({ version: 1, protectedBy: 'desktop', wrapped } satisfies z.infer<typeof WrappedKey>)

/**
 * The wrapped key in what was stored; undefined if that is a plain PEM.
 * @throws PosternError `unsupported` if it is an envelope of another version, or torn
 */
export function wrappedKeyIn(stored: string): string | undefined {
  if (!stored.trimStart().startsWith('{')) return undefined
  try {
    return WrappedKey.parse(JSON.parse(stored)).wrapped
  } catch (error) {
    throw new PosternError('unsupported', 'its key is stored in a way that this version of Postern cannot read', {
      cause: error,
    })
  }
}

/** Says how a key is kept that no key store wraps. */
export const describePlain = (why: string): string =>
  'The key of your login lies in a file that only you can read (mode 0600) and is good for the hours of that login. ' +
  `It is not wrapped by the system's key store: ${why}. A full-disk encryption of this machine covers it.`

/** Keys stay as they are; the file's mode is what protects them. */
export const plainKeyProtection: KeyProtection = {
  describe: () => describePlain('Postern was started without the desktop app, which alone can ask it'),
  protect: (keyPem) => Promise.resolve(keyPem),
  open: (stored) =>
    // An async function, so that what is thrown is a rejection.
    Promise.resolve().then(() => {
      if (wrappedKeyIn(stored) === undefined) return stored
      throw new PosternError(
        'unsupported',
        "its key is wrapped by the system's key store, which only the desktop app can ask, and Postern was started without it",
      )
    }),
}
