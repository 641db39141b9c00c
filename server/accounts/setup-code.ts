// The one-time code that `postern server init` prints and that makes the first administrator. The store has its hash.
import { createHash } from 'node:crypto'
import { Secret } from '../secrets/secret.ts'
import { readSetting } from '../store/settings.ts'
import type { Db } from '../store/store.ts'

/** 15 bytes: 120 bits in 24 characters, so that a plain hash is enough. */
const CODE_BYTES = 15
/** Base32 without letters that people mix up with digits (Crockford). */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** A new code in groups of four, and the hash to store. */
export function newSetupCode(random: (size: number) => Uint8Array): { code: Secret; hash: string } {
  let bits = ''
  for (const byte of random(CODE_BYTES)) bits += byte.toString(2).padStart(8, '0')
  const characters = [...bits.matchAll(/.{5}/g)].map(([five]) => ALPHABET.charAt(parseInt(five, 2)))
  const code = characters.join('').replace(/.{4}(?!$)/g, '$&-')
  return { code: new Secret(code), hash: hashOf(code) }
}

/** Takes the code out of the store, inside the caller's transaction; false if it is wrong or was used before. */
export async function consumeSetupCode(db: Db, typed: string): Promise<boolean> {
  // Deleting by hash compares inside the store's index; what its timing could tell is about a hash of 120 random bits.
  const { numDeletedRows } = await db
    .deleteFrom('settings')
    .where('key', '=', 'setup_code')
    .where('value', '=', hashOf(typed))
    .executeTakeFirst()
  return numDeletedRows === 1n
}

/** Whether the first administrator is still to be made. */
export const isSetupPending = async (db: Db): Promise<boolean> => (await readSetting(db, 'setup_code')) !== undefined

/** People type codes in lower case and without dashes. */
const hashOf = (code: string): string =>
  createHash('sha256')
    .update(code.toUpperCase().replace(/[^0-9A-Z]/g, ''))
    .digest('hex')
