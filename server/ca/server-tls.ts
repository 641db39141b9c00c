// The server's own TLS key and certificate: made once, kept sealed in the store, reissued at a start when it runs out
// soon, when the server's names changed, or when another CA signs. Called by authority.ts and rotation.ts.
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { z } from 'zod'
import type { MasterKey } from '../secrets/master-key.ts'
import { Secret } from '../secrets/secret.ts'
import type { Clock } from '../seams.ts'
import { readSetting, writeSetting } from '../store/settings.ts'
import type { Db } from '../store/store.ts'
import { crossSentUntil, type SigningCa } from './cas.ts'
import { signCertificate } from './certificate.ts'

const DAY_MS = 86_400_000
const LIFE_MS = 365 * DAY_MS
/** The server restarts at least once in this time, or someone is told by the expiry itself. */
const REISSUE_BEFORE_MS = 30 * DAY_MS
/** Clocks of clients that are minutes or hours behind must not refuse a fresh certificate (C6). */
const BACKDATE_MS = DAY_MS
const SEAL_CONTEXT = 'settings:value:server_tls'

/** PEM: the private key, and the certificate with its CA behind it (C8), after a rotation with cross certificates between. */
export type ServerTls = { key: string; cert: string }

const Stored = z.object({ names: z.array(z.string()), certificate: z.string(), keySealed: z.string() })

type Options = {
  db: Db
  masterKey: MasterKey
  now: Clock
  ca: SigningCa
  names: readonly string[]
}

/** The stored material if it is still good for these names, else new one. */
export async function openServerTls(options: Options): Promise<ServerTls> {
  const { db, masterKey } = options
  const text = await readSetting(db, 'server_tls')
  const stored = text === undefined ? undefined : Stored.parse(JSON.parse(text))
  if (stored !== undefined && isGood(stored, options)) {
    return {
      key: masterKey.open(stored.keySealed, SEAL_CONTEXT).reveal(),
      cert: stored.certificate + chainOf(options),
    }
  }
  const made = issue(options)
  await writeSetting(
    db,
    'server_tls',
    JSON.stringify({
      names: [...options.names],
      certificate: made.certificate,
      keySealed: masterKey.seal(new Secret(made.key), SEAL_CONTEXT),
    } satisfies z.input<typeof Stored>),
  )
  return { key: made.key, cert: made.certificate + chainOf(options) }
}

/**
 * What is sent behind the certificate. The cross certificates first: of several issuers that were sent, TLS libraries take the
 * first; whoever trusts the CA itself finds it in its own store before it looks at what was sent.
 */
const chainOf = ({ ca, now }: Options): string =>
  [...ca.crossPems.filter((cross) => crossSentUntil(cross) > now()), ca.pem].join('')

function isGood(stored: z.output<typeof Stored>, { now, ca, names }: Options): boolean {
  const certificate = new X509Certificate(stored.certificate)
  const leftMs = certificate.validToDate.getTime() - now().getTime()
  const isSameNames = [...stored.names].sort().join() === [...names].sort().join()
  return leftMs >= REISSUE_BEFORE_MS && isSameNames && certificate.verify(ca.publicKey)
}

function issue({ now, ca, names }: Options): { key: string; certificate: string } {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const certificate = signCertificate(
    {
      commonName: 'Postern access server',
      publicKey: keys.publicKey,
      notBefore: new Date(now().getTime() - BACKDATE_MS),
      notAfter: new Date(now().getTime() + LIFE_MS),
      profile: { kind: 'server', names },
    },
    ca,
  )
  return { key: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), certificate }
}
