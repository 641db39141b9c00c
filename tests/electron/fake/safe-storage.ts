// `safeStorage` of the fake: FAKE_KEY_STORE says which backend Linux has (`gnome_libsecret`, `basic_text`), or that there is none
// (`unavailable`), or that it never answers (`hung`), or that it refuses (`broken`). What it wraps, another start of it can open.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

const KEY = Buffer.alloc(32, 7)
const IV_BYTES = 12
const TAG_BYTES = 16
const backend = process.env['FAKE_KEY_STORE'] ?? 'basic_text'
const refuseIfBroken = (): void => {
  if (backend === 'broken') throw new Error('fake electron: the keyring is locked')
}

export const safeStorage = {
  isAsyncEncryptionAvailable: (): Promise<boolean> =>
    backend === 'hung' ? new Promise(() => undefined) : Promise.resolve(backend !== 'unavailable'),
  getSelectedStorageBackend: (): string => (backend === 'broken' ? 'gnome_libsecret' : backend),
  // eslint-disable-next-line @typescript-eslint/require-await -- it fails as Electron's does: by a rejection
  async encryptStringAsync(plainText: string): Promise<Buffer> {
    refuseIfBroken()
    const iv = randomBytes(IV_BYTES)
    const cipher = createCipheriv('aes-256-gcm', KEY, iv)
    const body = Buffer.concat([cipher.update(plainText, 'utf8'), cipher.final()])
    return Buffer.concat([iv, cipher.getAuthTag(), body])
  },
  // eslint-disable-next-line @typescript-eslint/require-await -- it fails as Electron's does: by a rejection
  async decryptStringAsync(encrypted: Buffer): Promise<{ result: string; shouldReEncrypt: boolean }> {
    refuseIfBroken()
    const decipher = createDecipheriv('aes-256-gcm', KEY, encrypted.subarray(0, IV_BYTES))
    decipher.setAuthTag(encrypted.subarray(IV_BYTES, IV_BYTES + TAG_BYTES))
    const body = decipher.update(encrypted.subarray(IV_BYTES + TAG_BYTES))
    return { result: Buffer.concat([body, decipher.final()]).toString('utf8'), shouldReEncrypt: false }
  },
}
