// The section `oidc` of the settings file: which identity provider vouches for people, and how it is asked. Parsed by config.ts,
// read by provider.ts. Half a configuration is refused at the start and named (W7, E3): it never means that anybody gets in.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { X509Certificate } from 'node:crypto'
import { z } from 'zod'
import { PosternError } from '../../shared/errors.ts'
import { Secret } from '../secrets/secret.ts'

/** Which claim of the provider names a person here: `email` is held against the person's email, `preferred_username` against the name. */
export const PERSON_CLAIMS = ['email', 'preferred_username'] as const
export type PersonClaim = (typeof PERSON_CLAIMS)[number]

const DEFAULT_SCOPES: Record<PersonClaim, string[]> = {
  email: ['openid', 'email'],
  preferred_username: ['openid', 'profile'],
}

const LOOPBACK_HOSTS = ['127.0.0.1', 'localhost', '[::1]']
const isLoopback = (issuer: URL): boolean => LOOPBACK_HOSTS.includes(issuer.hostname)

/** One line of printable characters: it is on a button and in sentences. */
const ProviderName = z
  .string()
  .trim()
  .min(1)
  .max(60)
  .regex(/^[^\p{C}\p{Zl}\p{Zp}]+$/u, 'the name is shown to people: one line, no control characters')

export const Oidc = z
  .strictObject({
    /** Issuer identifier; its discovery document lies below it (OpenID Connect Discovery 1.0, 4). */
    issuer: z.string({ error: 'the address of the identity provider is missing' }),
    clientId: z.string({ error: 'the id that the identity provider knows this server by is missing' }).min(1),
    clientSecret: z.string().min(1, 'it is empty').optional(),
    /** A file that has the secret instead, so that it need not be in the settings. */
    clientSecretFile: z.string().min(1).optional(),
    /** What people call the provider; it is on the button. */
    name: ProviderName.optional(),
    scopes: z
      .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'a scope has no spaces, quotes or backslashes'))
      .optional(),
    personClaim: z.enum(PERSON_CLAIMS).default('email'),
    /** PEM of the CA that signed the provider's certificate; beside the system's. */
    caFile: z.string().min(1).optional(),
    /** Takes an issuer of this machine without TLS; for tests and demos. */
    allowInsecureLoopbackIssuer: z.boolean().default(false),
  })
  .superRefine((oidc, context) => {
    const complain = (key: string, message: string): void => context.addIssue({ code: 'custom', path: [key], message })
    const issuer = URL.parse(oidc.issuer)
    if (!issuer || issuer.search !== '' || issuer.hash !== '' || issuer.username !== '' || issuer.password !== '')
      complain('issuer', `"${oidc.issuer}" is not the address of an identity provider such as https://id.example.com`)
    else if (issuer.protocol === 'http:' && isLoopback(issuer)) {
      if (!oidc.allowInsecureLoopbackIssuer)
        complain('issuer', 'without TLS only with allowInsecureLoopbackIssuer: true, which is for tests and demos')
    } else if (issuer.protocol !== 'https:') complain('issuer', 'the identity provider is asked over https only')
    if (oidc.clientSecret === undefined && oidc.clientSecretFile === undefined)
      complain('clientSecret', 'it is missing: give clientSecret or clientSecretFile, or leave oidc out')
    if (oidc.clientSecret !== undefined && oidc.clientSecretFile !== undefined)
      complain('clientSecretFile', 'clientSecret is given as well; give one of them')
    if (oidc.scopes !== undefined && !oidc.scopes.includes('openid'))
      complain('scopes', 'openid is missing: without it the provider says nothing about the person')
  })

/** What the server asks its identity provider with. */
export type OidcConfig = {
  issuer: URL
  clientId: string
  clientSecret: Secret
  name: string
  scopes: readonly string[]
  personClaim: PersonClaim
  caPem: string | undefined
}

/**
 * The section with its files read; relative paths count from `base`.
 * @throws PosternError `misconfigured` that names the key and the file
 */
export function readOidcConfig(settings: z.output<typeof Oidc>, base: string, where: string): OidcConfig {
  const read = (key: 'clientSecretFile' | 'caFile', file: string): string => {
    const full = path.resolve(base, file)
    try {
      return readFileSync(full, 'utf8')
    } catch (cause) {
      throw new PosternError('misconfigured', `${where}: oidc.${key}: ${full} cannot be read`, { cause })
    }
  }
  const secret = (settings.clientSecret ?? read('clientSecretFile', settings.clientSecretFile ?? '')).trim()
  if (secret === '')
    throw new PosternError('misconfigured', `${where}: oidc.clientSecretFile: there is no secret in it`)
  const caPem = settings.caFile === undefined ? undefined : read('caFile', settings.caFile)
  if (caPem !== undefined && !isCertificate(caPem))
    throw new PosternError('misconfigured', `${where}: oidc.caFile: this is not a PEM certificate`)
  const issuer = new URL(settings.issuer)
  return {
    issuer,
    clientId: settings.clientId,
    clientSecret: new Secret(secret),
    name: settings.name ?? issuer.host,
    scopes: settings.scopes ?? DEFAULT_SCOPES[settings.personClaim],
    personClaim: settings.personClaim,
    caPem,
  }
}

function isCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem)
    return true
  } catch {
    return false
  }
}
