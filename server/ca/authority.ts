// The certificate authority of the cluster: the user CA signs people's and routes' certificates, the server CA signs the
// server's TLS certificate. Opened at the start from the store; its keys lie sealed there (C1). A rotation publishes other CAs
// in one assignment (C7). Called by logins, routes, access-check and the public port.
import { createHash, type KeyObject, type X509Certificate } from 'node:crypto'
import { formatIdentity, type RouteIdentity, type UserIdentity } from '../../shared/names.ts'
import type { MasterKey } from '../secrets/master-key.ts'
import type { Clock } from '../seams.ts'
import type { Db } from '../store/store.ts'
import { readCas, type Cas, type KnownCa } from './cas.ts'
import { signCertificate } from './certificate.ts'
import { openServerTls, type ServerTls } from './server-tls.ts'

/** People's clocks may be behind the server's by this much before a fresh certificate looks not yet valid to them. */
const CLIENT_BACKDATE_MS = 5 * 60_000

/** `caId`: the user CA that signed it. */
export type IssuedCertificate = { pem: string; notAfter: Date; caId: string }

/** Which user CA signed a certificate, and how it stands now. */
export type KnownIssuer = { id: string; standing: 'signs' | 'trusted' | 'dropped' }

export interface Authority {
  /** `sha256:HEX` of the DER of the server CA that signs: what a person compares or pins (C8). */
  readonly fingerprint: string
  /** PEM of the server CA that signs. */
  readonly serverCaPem: string
  /** PEM of the server CAs that clients are to trust, the one that signs first (C7). */
  readonly serverCaPems: readonly string[]
  /** All CAs as they are now. */
  readonly cas: Cas
  /** The CAs that may have signed a client certificate, the one that signs first (C7). */
  trustedUserCas(): readonly X509Certificate[]
  /** Which user CA signed a client certificate, and whether that is trusted; undefined: none of ours ever. */
  issuerOf(certificate: X509Certificate): KnownIssuer | undefined
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
  /** Other CAs from now on, whole; they stand in the store already. */
  publish(cas: Cas): void
}

/**
 * Opens the CAs of an initialised store.
 * @param onIssued told of each client certificate
 * @throws PosternError `misconfigured` if there are none, or the master key is another one
 */
export async function openAuthority(
  db: Db,
  masterKey: MasterKey,
  now: Clock,
  onIssued: (kind: 'user' | 'route') => void = () => undefined,
): Promise<Authority> {
  let cas = await readCas(db, masterKey)
  /** Signatures are checked once for a certificate as the handshake gave it (a tunnel's, for all of its streams) and these CAs. */
  let judged = new WeakMap<X509Certificate, KnownIssuer>()

  /** Of one kind, the one that signs first. */
  const trusted = (kind: 'user' | 'server'): readonly KnownCa[] => [
    cas[kind],
    ...cas.old.filter((ca) => ca.kind === kind),
  ]

  function findIssuer(certificate: X509Certificate): KnownIssuer | undefined {
    const signed = ({ certificate: ca }: KnownCa): boolean =>
      certificate.checkIssued(ca) && certificate.verify(ca.publicKey)
    const known = trusted('user').find(signed)
    if (known) return { id: known.id, standing: known === cas.user ? 'signs' : 'trusted' }
    const dropped = cas.droppedUser.find(signed)
    return dropped && { id: dropped.id, standing: 'dropped' }
  }

  const issueClient = (
    identity: UserIdentity | RouteIdentity,
    publicKey: KeyObject,
    end: number,
  ): IssuedCertificate => {
    const { user } = cas
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
      user,
    )
    onIssued(identity.kind)
    return { pem, notAfter, caId: user.id }
  }

  return {
    get fingerprint() {
      return fingerprintOf(cas.server.certificate)
    },
    get serverCaPem() {
      return cas.server.pem
    },
    get serverCaPems() {
      return trusted('server').map(({ pem }) => pem)
    },
    get cas() {
      return cas
    },
    trustedUserCas: () => trusted('user').map(({ certificate }) => certificate),
    issuerOf: (certificate) => {
      const before = judged.get(certificate)
      if (before) return before
      const issuer = findIssuer(certificate)
      if (issuer) judged.set(certificate, issuer)
      return issuer
    },
    issueUserCertificate: (identity, publicKey, loginEndsAt) => issueClient(identity, publicKey, loginEndsAt.getTime()),
    issueRouteCertificate: (identity, publicKey, ttlMs, ends) => {
      const bounds = ends.filter((end) => end !== null).map((end) => end.getTime())
      return issueClient(identity, publicKey, Math.min(now().getTime() + ttlMs, ...bounds))
    },
    serverTls: (names) => openServerTls({ db, masterKey, now, ca: cas.server, names }),
    publish: (fresh) => {
      judged = new WeakMap()
      cas = fresh
    },
  }
}

/** `sha256:HEX` of a certificate's DER. */
export const fingerprintOf = (certificate: X509Certificate): string =>
  `sha256:${createHash('sha256').update(certificate.raw).digest('hex')}`
