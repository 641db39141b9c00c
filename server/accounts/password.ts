// Passwords: argon2id (RFC 9106) in PHC string form. Called by logins, setup, account changes and admin apply. Hashing
// runs on libuv's threads, never on the loop that moves bytes.
import { argon2, randomBytes, timingSafeEqual } from 'node:crypto'
import { giveBigMemoryBack } from './memory-of-hashes.ts'

/** OWASP's floor for argon2id: 19 MiB, 2 passes, 1 lane. */
const MEMORY_KIB = 19 * 1024
const PASSES = 2
const LANES = 1
const SALT_BYTES = 16
const TAG_BYTES = 32

type Parameters = { memory: number; passes: number; parallelism: number; salt: Buffer; tagLength: number }

/** `$argon2id$v=19$m=…,t=…,p=…$SALT$TAG` of a password. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES)
  const tag = await derive(password, {
    memory: MEMORY_KIB,
    passes: PASSES,
    parallelism: LANES,
    salt,
    tagLength: TAG_BYTES,
  })
  return `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${LANES}$${unpadded(salt)}$${unpadded(tag)}`
}

/**
 * Whether the password is the one of `hash`. Without a hash (unknown person, or one without a password) it does the same
 * work on a stand-in and says no, so that the answer takes as long as for a wrong password.
 * @throws Error if the stored hash is not one of ours
 */
export async function isPassword(password: string, hash: string | null | undefined): Promise<boolean> {
  const expected = parsePhc(hash ?? STAND_IN)
  const tag = await derive(password, expected)
  return timingSafeEqual(tag, expected.tag) && hash !== null && hash !== undefined
}

const unpadded = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '')

/** A hash of nothing that anybody knows, with the parameters of real ones. */
const STAND_IN = `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${LANES}$${unpadded(randomBytes(SALT_BYTES))}$${unpadded(randomBytes(TAG_BYTES))}`

function parsePhc(hash: string): Parameters & { tag: Buffer } {
  const match = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(hash)
  if (!match) throw new Error('a stored password hash is not argon2id in PHC string form')
  const [, memory, passes, lanes, salt = '', tag = ''] = match
  const tagBytes = Buffer.from(tag, 'base64')
  return {
    memory: Number(memory),
    passes: Number(passes),
    parallelism: Number(lanes),
    salt: Buffer.from(salt, 'base64'),
    tag: tagBytes,
    tagLength: tagBytes.length,
  }
}

let isMemorySettled: Promise<boolean> | undefined

async function derive(password: string, { salt, memory, passes, parallelism, tagLength }: Parameters): Promise<Buffer> {
  await (isMemorySettled ??= giveBigMemoryBack())
  // The same letters typed on different systems come in different Unicode forms; NFC makes them one.
  const message = password.normalize('NFC')
  return new Promise((resolve, reject) => {
    argon2('argon2id', { message, nonce: salt, memory, passes, parallelism, tagLength }, (error, tag) => {
      if (error) reject(error)
      else resolve(tag)
    })
  })
}
