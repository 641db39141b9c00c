// What a demo chooses once and keeps: its ports and its random passwords (0600). Used by main.ts.
import { randomBytes, randomInt } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { Secret } from 'otpauth'
import { z } from 'zod'
import { PosternError } from '../shared/errors.ts'

const Person = z.object({ name: z.string(), password: z.string(), totpSecret: z.string().optional() })

const DemoState = z.object({
  version: z.literal(1),
  serverPort: z.number().int(),
  postgresPort: z.number().int(),
  /** Demos that were made before there was a greeter have none yet. */
  greeterPort: z.number().int().optional(),
  people: z.array(Person),
  /** Database users and their passwords: the access server's secret, shown to nobody. */
  accounts: z.record(z.string(), z.string()),
  postgresDir: z.string(),
  isSetUp: z.boolean(),
})
type StoredState = z.infer<typeof DemoState>
export type DemoState = StoredState & { greeterPort: number }

export const ACCOUNTS = ['reader', 'writer', 'owner'] as const

/** Below the ephemeral ranges of Linux (32768–60999) and macOS/Windows (49152–65535), above the well-known ones. */
const PORT_RANGE = { from: 20_000, to: 29_999 }
const PORT_TRIES = 50

/** Reads the state; undefined where there is none yet. A broken one is an error: passwords cannot be made up again. */
export async function readState(file: string): Promise<StoredState | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    return DemoState.parse(JSON.parse(text))
  } catch (cause) {
    throw new PosternError(
      'misconfigured',
      `${file} is broken, and with it the demo's passwords: remove its directory to begin anew`,
      { cause },
    )
  }
}

/** Chooses ports and passwords. */
export async function newState(postgresDir: string): Promise<DemoState> {
  const password = () => randomBytes(12).toString('base64url')
  const serverPort = await chooseFreePort([])
  const postgresPort = await chooseFreePort([serverPort])
  const greeterPort = await chooseFreePort([serverPort, postgresPort])
  return {
    version: 1,
    serverPort,
    postgresPort,
    greeterPort,
    people: [
      { name: 'alice', password: password() },
      { name: 'bob', password: password(), totpSecret: new Secret({ size: 20 }).base32 },
      { name: 'carol', password: password() },
    ],
    accounts: Object.fromEntries(ACCOUNTS.map((account) => [account, password()])),
    postgresDir,
    isSetUp: false,
  }
}

/** Written beside and renamed, so that a crash never leaves half a file. */
export async function writePrivateFile(file: string, value: unknown): Promise<void> {
  await writeFile(`${file}.new`, `${JSON.stringify(value, undefined, 2)}\n`, { mode: 0o600 })
  await rename(`${file}.new`, file)
}

/** @param others ports that are chosen already */
export async function chooseFreePort(others: readonly number[]): Promise<number> {
  for (let attempt = 0; attempt < PORT_TRIES; attempt += 1) {
    const port = randomInt(PORT_RANGE.from, PORT_RANGE.to + 1)
    if (!others.includes(port) && (await isFree(port))) return port
  }
  throw new PosternError('port_conflict', `no free port between ${PORT_RANGE.from} and ${PORT_RANGE.to}`)
}

/** Whether somebody could listen there now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}
