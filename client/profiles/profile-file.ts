// What is kept of a profile on disk: HOME/profiles/NAME.json (the cluster and the person) and NAME.user.pem (key and user
// certificate in one file, so that they are swapped together; the key as key-protection.ts stores it). A file that cannot be read
// is put aside, never overwritten.
import { readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { PermissionLevel } from '../../shared/api.ts'
import { PosternError } from '../../shared/errors.ts'
import { Name } from '../../shared/names.ts'
import { writeFileAtomically } from '../atomic-file.ts'
import { parseAddress } from '../cluster/address.ts'
import { buildKeyedCertificate, type KeyedCertificate } from '../cluster/keyed-certificate.ts'
import { parseCa } from '../cluster/ca.ts'
import type { UserIdentity } from '../../shared/names.ts'
import type { KeyProtection } from './key-protection.ts'

const Ca = z.string().refine(isCa, 'not a CA certificate')
const common = {
  profile: Name,
  /** HOST:PORT */
  address: z.string().refine(isAddress, 'not HOST:PORT'),
  user: z.string().max(63).nullable(),
  level: PermissionLevel.nullable(),
  /** Whether the last login needed a TOTP code. */
  totp: z.boolean(),
  /** The identity provider that people can log in with, as last heard of the server. */
  sso: z
    .object({ name: z.string().min(1).max(60) })
    .nullable()
    .default(null),
  /** Server clock minus this machine's, in ms, as last heard. */
  clockOffsetMs: z.number(),
  /** When the person last turned to it, in ms since the epoch: the latest one is the current profile. */
  usedAtMs: z.number(),
}
/** Version 1 knew one CA only; what is written is version 2. */
export const StoredProfile = z.discriminatedUnion('version', [
  z.strictObject({
    ...common,
    version: z.literal(2),
    /** CAs that the server may be trusted by, PEM, the one that signs first (C7). */
    caPems: z.array(Ca).min(1).readonly(),
  }),
  z.strictObject({ ...common, version: z.literal(1), caPem: Ca }).transform(({ caPem, ...rest }) => ({
    ...rest,
    version: 2 as const,
    caPems: [caPem] as readonly string[],
  })),
])
export type StoredProfile = z.infer<typeof StoredProfile>
export type UserCertificate = KeyedCertificate<UserIdentity>

const FILE_ENDING = '.json'
const profileFile = (dir: string, name: string): string => join(dir, `${name}${FILE_ENDING}`)
const userFile = (dir: string, name: string): string => join(dir, `${name}.user.pem`)

export const writeProfileFile = (dir: string, stored: StoredProfile): Promise<void> =>
  writeFileAtomically(profileFile(dir, stored.profile), `${JSON.stringify(stored, undefined, 2)}\n`)

/** Key first, as it is protected, certificate after it. @throws PosternError as `KeyProtection.protect` does; then nothing is written */
export async function writeUserCertificate(
  dir: string,
  name: string,
  certificate: UserCertificate,
  keys: KeyProtection,
): Promise<void> {
  const stored = await keys.protect(certificate.keyPem)
  await writeFileAtomically(userFile(dir, name), `${stored.trim()}\n${certificate.certificatePem.trim()}\n`)
}

export const removeUserCertificate = (dir: string, name: string): Promise<void> =>
  rm(userFile(dir, name), { force: true })

/** Forgets a profile; its user certificate is removed before. */
export const removeProfileFiles = (dir: string, name: string): Promise<void> =>
  rm(profileFile(dir, name), { force: true })

/**
 * All profiles of a home. A file that is not one (torn, edited wrongly) is renamed to `NAME.json.corrupt-TIME` and told to
 * `onProblem`, so that nothing ever overwrites it.
 */
export async function readProfileFiles(
  dir: string,
  nowMs: number,
  onProblem: (text: string, cause: unknown) => void,
): Promise<StoredProfile[]> {
  const files = (await readdir(dir)).filter((file) => file.endsWith(FILE_ENDING)).sort()
  const profiles: StoredProfile[] = []
  for (const file of files) {
    const path = join(dir, file)
    try {
      const stored = StoredProfile.parse(JSON.parse(await readFile(path, 'utf8')))
      if (`${stored.profile}${FILE_ENDING}` !== file) throw new Error(`it names another profile: ${stored.profile}`)
      profiles.push(stored)
    } catch (error) {
      const aside = `${path}.corrupt-${new Date(nowMs).toISOString().replaceAll(/[:.]/g, '-')}`
      await rename(path, aside)
      onProblem(
        `the profile file ${path} could not be read and was kept as ${aside}; log in to that cluster again`,
        error,
      )
    }
  }
  return profiles
}

/**
 * The user certificate of a profile, checked before use (G4): it must be this cluster's and this person's, and its key's.
 * Undefined if there is none; one that does not fit or cannot be opened here is left where it is and told to `onProblem`.
 */
export async function readUserCertificate(
  dir: string,
  stored: StoredProfile,
  keys: KeyProtection,
  onProblem: (text: string, cause: unknown) => void,
): Promise<UserCertificate | undefined> {
  let text: string
  try {
    text = await readFile(userFile(dir, stored.profile), 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  try {
    const split = text.indexOf('-----BEGIN CERTIFICATE-----')
    const keyPem = await keys.open(text.slice(0, Math.max(split, 0)))
    const certificatePem = text.slice(Math.max(split, 0))
    const certificate = buildKeyedCertificate({ keyPem, certificatePem, caPems: stored.caPems }, 'user')
    checkUserIdentity(certificate.identity, stored.profile, stored.user)
    return certificate
  } catch (error) {
    const file = userFile(dir, stored.profile)
    const why = error instanceof PosternError ? `: ${error.message}` : ''
    onProblem(`the certificate in ${file} was not used${why}; log in to ${stored.profile} again`, error)
    return undefined
  }
}

/** @throws PosternError `wrong_identity` if the certificate is another cluster's or person's (G3) */
export function checkUserIdentity(identity: UserIdentity, cluster: string, user: string | null): void {
  if (identity.cluster !== cluster) {
    throw new PosternError('wrong_identity', `it was issued by the cluster ${identity.cluster}, not by ${cluster}`)
  }
  if (identity.user !== user) {
    throw new PosternError('wrong_identity', `it was issued to ${identity.user}, not to ${user ?? 'nobody'}`)
  }
}

function isAddress(text: string): boolean {
  try {
    return parseAddress(text).text === text
  } catch {
    return false
  }
}

function isCa(pem: string): boolean {
  try {
    return parseCa(pem) !== ''
  } catch {
    return false
  }
}
