// The CAs as the store keeps them: made, read and opened here, their keys sealed (C1). One of each kind signs; while a rotation
// goes on, the one before it is trusted too (C7). Called by init, authority.ts and rotation.ts.
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto'
import { PosternError } from '../../shared/errors.ts'
import type { MasterKey } from '../secrets/master-key.ts'
import { Secret } from '../secrets/secret.ts'
import type { Db } from '../store/store.ts'
import { signCertificate, type Issuer } from './certificate.ts'

const DAY_MS = 86_400_000
const CA_LIFE_MS = 3650 * DAY_MS
const BACKDATE_MS = DAY_MS
/** How long after a rotation clients that were away all the while still find the way to the new server CA by themselves. */
const CROSS_SENT_MS = 180 * DAY_MS
/** Whether it is still sent is looked at when the server starts and when CAs change: it may run on for a year. */
const CROSS_LIFE_MS = CROSS_SENT_MS + 365 * DAY_MS

export type CaKind = 'user' | 'server'

/** What everybody may know of a CA. */
export type KnownCa = { id: string; kind: CaKind; pem: string; certificate: X509Certificate; createdAt: Date }

/** A CA with its key. */
export type SigningCa = KnownCa & Issuer & { /** Its cross certificates, newest first. */ crossPems: string[] }

/** All CAs of the cluster at one moment; replaced as a whole by a rotation. */
export type Cas = {
  user: SigningCa
  server: SigningCa
  /** Signed before, trusted still: a rotation goes on. */
  old: readonly KnownCa[]
  /** User CAs that are trusted no more: their certificates are told from strangers'. */
  droppedUser: readonly KnownCa[]
}

/** Both CAs of a new cluster. Part of init's transaction. */
export async function createCas(db: Db, masterKey: MasterKey, cluster: string, now: Date): Promise<void> {
  for (const kind of ['user', 'server'] as const) await makeCa(db, masterKey, { kind, cluster, now })
}

/** Until when a cross certificate is sent. */
export const crossSentUntil = (crossPem: string): Date => {
  const { validFromDate, validToDate } = new X509Certificate(crossPem)
  return new Date(Math.min(validFromDate.getTime() + BACKDATE_MS + CROSS_SENT_MS, validToDate.getTime()))
}

/**
 * Makes a self-signed CA that signs from now on. There must be no signing one of its kind.
 * @param db a transaction
 * @param predecessor of a server CA: vouches for the new key (RFC 4210, section 4.4, "new with old")
 */
export async function makeCa(
  db: Db,
  masterKey: MasterKey,
  made: { kind: CaKind; cluster: string; now: Date; predecessor?: SigningCa },
): Promise<void> {
  const { kind, cluster, now, predecessor } = made
  const id = randomBytes(4).toString('hex')
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  // A successor has the name of its predecessor: only such a certificate may stand between a CA of path length 0 and a leaf
  // (RFC 5280, 4.2.1.9: self-issued ones are not counted). Keys are told apart by their identifiers. The id keeps other
  // CAs' names apart; the cut keeps them within X.520's 64 characters.
  const commonName = predecessor?.commonName ?? `${cluster.slice(0, 40)} ${kind} CA ${id}`
  const notBefore = new Date(now.getTime() - BACKDATE_MS)
  const sign = (notAfterMs: number, issuer: Issuer): string =>
    signCertificate(
      { commonName, publicKey: keys.publicKey, notBefore, notAfter: new Date(notAfterMs), profile: { kind: 'ca' } },
      issuer,
    )
  const crossPems = predecessor
    ? [
        sign(Math.min(now.getTime() + CROSS_LIFE_MS, predecessor.certificate.validToDate.getTime()), predecessor),
        ...predecessor.crossPems,
      ]
    : []
  const key = new Secret(keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
  await db
    .insertInto('ca_keys')
    .values({
      id,
      kind,
      certificate_pem: sign(now.getTime() + CA_LIFE_MS, { commonName, ...keys }),
      key_sealed: masterKey.seal(key, sealContext(id)),
      created_at: now.toISOString(),
      state: 'active',
      cross_pem: crossPems.length === 0 ? null : crossPems.join(''),
    })
    .execute()
}

/**
 * Reads all CAs and opens the keys of those that sign.
 * @throws PosternError `misconfigured` if there are none, or the master key is another one
 */
export async function readCas(db: Db, masterKey: MasterKey): Promise<Cas> {
  const rows = await db.selectFrom('ca_keys').selectAll().orderBy('created_at', 'desc').execute()
  const signing = (kind: CaKind): SigningCa => {
    const row = rows.find((candidate) => candidate.kind === kind && candidate.state === 'active')
    if (!row) throw new PosternError('misconfigured', `the store has no ${kind} CA; run \`postern server init\` first`)
    const privateKey = createPrivateKey(masterKey.open(row.key_sealed, sealContext(row.id)).reveal())
    const known = knownCa(row)
    return {
      ...known,
      commonName: /CN=(.*)/.exec(known.certificate.subject)?.[1] ?? '',
      privateKey,
      publicKey: createPublicKey(privateKey),
      crossPems: splitPems(row.cross_pem ?? ''),
    }
  }
  const dropped = await db.selectFrom('dropped_cas').selectAll().where('kind', '=', 'user').execute()
  return {
    user: signing('user'),
    server: signing('server'),
    old: rows.filter((row) => row.state === 'trusted').map(knownCa),
    droppedUser: dropped.map(knownCa),
  }
}

const knownCa = (row: { id: string; kind: CaKind; certificate_pem: string; created_at: string }): KnownCa => ({
  id: row.id,
  kind: row.kind,
  pem: row.certificate_pem,
  certificate: new X509Certificate(row.certificate_pem),
  createdAt: new Date(row.created_at),
})

/** The certificates of a text of several. */
const splitPems = (text: string): string[] =>
  text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\r?\n/g) ?? []

const sealContext = (id: string): string => `ca_keys:key_sealed:${id}`
