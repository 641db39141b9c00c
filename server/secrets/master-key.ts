// The master key: 32 random bytes in a 0600 file, under which every other secret of the server lies encrypted (C1).
// Owns the sealed format `v1:BASE64(nonce | ciphertext | tag)`, AES-256-GCM bound to the place where it is stored.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { PosternError } from '../../shared/errors.ts'
import { Secret } from './secret.ts'

const KEY_BYTES = 32
/** GCM: 96-bit nonces (NIST SP 800-38D, 8.2.2), random; far from their bound of 2^32 messages under one key. */
const NONCE_BYTES = 12
const TAG_BYTES = 16
const PREFIX = 'v1:'

export class MasterKey {
  readonly #key: Buffer
  readonly #file: string

  /** @param file named in errors, so that a person knows which file is the wrong one */
  constructor(key: Buffer, file: string) {
    if (key.length !== KEY_BYTES) throw new RangeError('a master key has 32 bytes')
    this.#key = key
    this.#file = file
  }

  /** Encrypts `plain` for one place. @param context `table:column:row`; the same is needed to open it */
  seal(plain: Secret, context: string): string {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce)
    cipher.setAAD(Buffer.from(context))
    const sealed = Buffer.concat([nonce, cipher.update(plain.reveal(), 'utf8'), cipher.final(), cipher.getAuthTag()])
    return PREFIX + sealed.toString('base64')
  }

  /**
   * Decrypts what `seal` made for the same context.
   * @throws PosternError `misconfigured` under another key, for another context, or if it was changed
   */
  open(sealed: string, context: string): Secret {
    try {
      if (!sealed.startsWith(PREFIX)) throw new Error('unknown version of a sealed secret')
      const bytes = Buffer.from(sealed.slice(PREFIX.length), 'base64')
      if (bytes.length < NONCE_BYTES + TAG_BYTES) throw new Error('a sealed secret is too short')
      const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(0, NONCE_BYTES))
      decipher.setAAD(Buffer.from(context))
      decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
      const plain = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()])
      return new Secret(plain.toString('utf8'))
    } catch (cause) {
      throw new PosternError(
        'misconfigured',
        `the stored secret ${context} cannot be decrypted: ${this.#file} is not the master key that this store was made with, or the row was changed; put the right key back`,
        { cause },
      )
    }
  }
}

/**
 * Makes a new master key file, 0600.
 * @throws PosternError `conflict` if the file is there already: a master key is never overwritten
 */
export async function createMasterKey(file: string): Promise<MasterKey> {
  const key = randomBytes(KEY_BYTES)
  try {
    const handle = await open(file, 'wx', 0o600)
    try {
      await handle.writeFile(key)
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (cause) {
    if (isErrno(cause, 'EEXIST'))
      throw new PosternError('conflict', `${file} is there already, and a master key is never overwritten`, { cause })
    throw new PosternError('misconfigured', `the master key file ${file} cannot be written`, { cause })
  }
  return new MasterKey(key, file)
}

/**
 * Reads the master key file.
 * @throws PosternError `misconfigured` if it is missing, readable by others, or not 32 bytes
 */
export async function loadMasterKey(file: string): Promise<MasterKey> {
  const problem = (text: string, cause?: unknown) =>
    new PosternError('misconfigured', `the master key file ${file} ${text}`, { cause })
  const handle = await open(file, 'r').catch((cause: unknown) => {
    throw isErrno(cause, 'ENOENT')
      ? problem('is missing; put it back, or run `postern server init` for a new server', cause)
      : problem('cannot be read', cause)
  })
  try {
    // Mode and content of the same open file: nobody can swap it in between.
    const { mode } = await handle.stat()
    if (process.platform !== 'win32' && (mode & 0o077) !== 0)
      throw problem(`can be read by others (mode ${(mode & 0o777).toString(8)}); run \`chmod 600 ${file}\``)
    const key = await handle.readFile()
    if (key.length !== KEY_BYTES) throw problem(`has ${key.length} bytes instead of ${KEY_BYTES}; it is no master key`)
    return new MasterKey(key, file)
  } finally {
    await handle.close()
  }
}

const isErrno = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code
