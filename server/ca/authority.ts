// The certificate authority of the cluster: the user CA signs people's and routes' certificates, the server CA signs the
// server's TLS certificate. Opened at the start from the store; its keys lie sealed there (C1). Called by init, logins,
// routes, access-check and the public port.
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  X509Certificate,
  type KeyObject,
} from 'node:crypto'
import { PosternError } from '../../shared/errors.ts'
import { formatIdentity, type RouteIdentity, type UserIdentity } from '../../shared/names.ts'
import type { MasterKey } from '../secrets/master-key.ts'
import { Secret } from '../secrets/secret.ts'
import type { Clock } from '../seams.ts'
import type { Db } from '../store/store.ts'
import { signCertificate, type Issuer } from './certificate.ts'
import { openServerTls, type ServerTls } from './server-tls.ts'

const DAY_MS = 86_400_000
const CA_LIFE_MS = 3650 * DAY_MS
/** People's clocks may be behind the server's by this much before a fresh certificate looks not yet valid to them. */
const CLIENT_BACKDATE_MS = 5 * 60_000
const SERVER_BACKDATE_MS = DAY_MS

export type IssuedCertificate = { pem: string; notAfter: Date }

export interface Authority {
  /** `sha256:HEX` of the server CA's DER: what a person compares or pins (C8). */
  readonly fingerprint: string
  /** PEM of the server CA. */
  readonly serverCaPem: string
  /** The CAs that may have signed a client certificate, old ones of a rotation included (C7). */
  trustedUserCas(): readonly X509Certificate[]
  /** A person's certificate, until `loginEndsAt`. The key comes from a checked request (csr.ts). */
  issueUserCertificate(identity: UserIdentity, publicKey: KeyObject, loginEndsAt: Date): IssuedCertificate
  /** A route's certificate: for `ttlMs`, but never beyond any of `ends` (login, grant; null: no end) (C2). */
  issueRouteCertificate(
    identity: RouteIdentity,
    publicKey: KeyObject,
    ttlMs: number,
    ends: readonly (Date | null)[],
  ): IssuedCertificate
  /** Key and certificate chain of the public port for these names, kept in the store and reissued when it is time. */
  serverTls(names: readonly string[]): Promise<ServerTls>
}

type Ca = Issuer & { certificate: X509Certificate; pem: string }

/**
 * Makes both CAs of a new cluster. Part of init's transaction.
 * @param db a transaction
 */
export async function createCas(db: Db, masterKey: MasterKey, cluster: string, now: Date): Promise<void> {
  for (const kind of ['user', 'server'] as const) {
    const id = randomBytes(4).toString('hex')
    const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    // The id keeps names of successive CAs apart; the cut keeps them within X.520's 64 characters.
    const commonName = `${cluster.slice(0, 40)} ${kind} CA ${id}`
    const certificate = signCertificate(
      {
        commonName,
        publicKey: keys.publicKey,
        notBefore: new Date(now.getTime() - SERVER_BACKDATE_MS),
        notAfter: new Date(now.getTime() + CA_LIFE_MS),
        profile: { kind: 'ca' },
      },
      { commonName, ...keys },
    )
    const key = new Secret(keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
    await db
      .insertInto('ca_keys')
      .values({
        id,
        kind,
        certificate_pem: certificate,
        key_sealed: masterKey.seal(key, sealContext(id)),
        created_at: now.toISOString(),
        state: 'active',
      })
      .execute()
  }
}

/**
 * Opens the CAs of an initialised store.
 * @throws PosternError `misconfigured` if there are none, or the master key is another one
 */
export async function openAuthority(db: Db, masterKey: MasterKey, now: Clock): Promise<Authority> {
  const rows = await db.selectFrom('ca_keys').selectAll().orderBy('created_at', 'desc').execute()
  const openActive = (kind: 'user' | 'server'): Ca => {
    const row = rows.find((candidate) => candidate.kind === kind && candidate.state === 'active')
    if (!row) throw new PosternError('misconfigured', `the store has no ${kind} CA; run \`postern server init\` first`)
    const privateKey = createPrivateKey(masterKey.open(row.key_sealed, sealContext(row.id)).reveal())
    const certificate = new X509Certificate(row.certificate_pem)
    return {
      commonName: /CN=(.*)/.exec(certificate.subject)?.[1] ?? '',
      privateKey,
      publicKey: createPublicKey(privateKey),
      certificate,
      pem: row.certificate_pem,
    }
  }
  const userCa = openActive('user')
  const serverCa = openActive('server')
  const trusted = rows.filter((row) => row.kind === 'user').map((row) => new X509Certificate(row.certificate_pem))

  const issueClient = (
    identity: UserIdentity | RouteIdentity,
    publicKey: KeyObject,
    end: number,
  ): IssuedCertificate => {
    // Cut down, not rounded: X.509 knows whole seconds, and the certificate must not outlive what it stands for.
    const notAfter = new Date(Math.floor(end / 1000) * 1000)
    const pem = signCertificate(
      {
        commonName: identity.user,
        publicKey,
        notBefore: new Date(now().getTime() - CLIENT_BACKDATE_MS),
        notAfter,
        profile: { kind: 'client', uri: formatIdentity(identity) },
      },
      userCa,
    )
    return { pem, notAfter }
  }

  return {
    fingerprint: fingerprintOf(serverCa.certificate),
    serverCaPem: serverCa.pem,
    trustedUserCas: () => trusted,
    issueUserCertificate: (identity, publicKey, loginEndsAt) => issueClient(identity, publicKey, loginEndsAt.getTime()),
    issueRouteCertificate: (identity, publicKey, ttlMs, ends) => {
      const bounds = ends.filter((end) => end !== null).map((end) => end.getTime())
      return issueClient(identity, publicKey, Math.min(now().getTime() + ttlMs, ...bounds))
    },
    serverTls: (names) => openServerTls({ db, masterKey, now, ca: serverCa, names }),
  }
}

/** `sha256:HEX` of a certificate's DER. */
export const fingerprintOf = (certificate: X509Certificate): string =>
  `sha256:${createHash('sha256').update(certificate.raw).digest('hex')}`

const sealContext = (id: string): string => `ca_keys:key_sealed:${id}`
