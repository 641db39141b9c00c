// Takes names out of what a person sends to support: people, clusters, resources, accounts, databases, addresses and paths
// become stand-ins, the same one for the same name all over a bundle; keys, certificates and passwords go altogether. Pure;
// called by bundle.ts.

export type Redaction = {
  /** Makes a name known: from now on it is replaced wherever it stands as a word of its own. */
  learn(kind: StandIn, name: string | null | undefined): void
  /** A text without any known name, address, path or secret. */
  text(text: string): string
  /** A JSON value with its texts redacted; keys of entries that are names too. Values of secret keys are left out. */
  value(value: unknown): unknown
}

export type StandIn =
  'profile' | 'user' | 'resource' | 'account' | 'database' | 'gateway' | 'host' | 'client' | 'path' | 'id'

/** Whatever stands under such a key is not for anybody else's eyes. */
const SECRET_KEY =
  /password|passphrase|totp|secret|token|otp|pem$|key$|csr|certificate$|cookie|authorization|setupcode/i
const LEFT_OUT = '[left out]'

/** Patterns of what nobody had to make known. The loopback address says nothing about anybody. */
const PEM = /-----BEGIN [A-Z ]+-----[\s\S]*?(?:-----END [A-Z ]+-----|$)/g
const FINGERPRINT = /sha256:[0-9a-f]{16,}/gi
const EMAIL = /[\w.+-]+@[\w-]+(?:\.[\w-]+)+/g
const IPV4 = /(?<![\d.])(?!127\.0\.0\.1(?![\d.]))(?:\d{1,3}\.){3}\d{1,3}(?![\d.])/g
const IPV6 =
  /(?<![\w:])(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{1,4}(?![\w:])|(?<![\w:])[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*::[0-9a-f:]*[0-9a-f]/gi
const HOME_PATH = /(?:\/home\/|\/Users\/|[A-Z]:\\Users\\)[^/\\\s"':]+/g
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi
/** Long runs of mixed letters and digits are keys, hashes or tokens. */
const HEX_SECRET = /(?<!\w)[0-9a-f]{32,}(?!\w)/gi
const LONG_SECRET = /(?<![\w+/=-])(?=[\w+/-]*\d)(?=[\w+/-]*[A-Z])(?=[\w+/-]*[a-z])[\w+/-]{40,}={0,2}(?![\w+/=-])/g

/** A text without keys and certificates; for whole files, before they are cut into lines. */
export const withoutPem = (text: string): string => text.replace(PEM, LEFT_OUT)

export function createRedaction(): Redaction {
  const standIns = new Map<string, string>()
  const counts = new Map<StandIn, number>()
  let pattern: RegExp | undefined

  const standInFor = (kind: StandIn, name: string): string => {
    const known = standIns.get(name)
    if (known !== undefined) return known
    const number = (counts.get(kind) ?? 0) + 1
    counts.set(kind, number)
    const standIn = `<${kind}-${number}>`
    standIns.set(name, standIn)
    return standIn
  }

  const learn = (kind: StandIn, name: string | null | undefined): void => {
    if (name === null || name === undefined || name.trim() === '' || standIns.has(name)) return
    standInFor(kind, name)
    // In URLs names are percent-encoded.
    const encoded = encodeURIComponent(name)
    if (encoded !== name) standIns.set(encoded, standInFor(kind, name))
    pattern = undefined
  }

  const known = (): RegExp | undefined => {
    if (standIns.size === 0) return undefined
    // The longest first: orders-archive is not orders with something behind it.
    const names = [...standIns.keys()].sort((a, b) => b.length - a.length).map((name) => escape(name))
    pattern ??= new RegExp(`(?<![\\p{L}\\p{N}_])(?:${names.join('|')})(?![\\p{L}\\p{N}_])`, 'gu')
    return pattern
  }

  const text = (whole: string): string => {
    const names = known()
    const withoutNames = names ? whole.replace(names, (name) => standIns.get(name) ?? LEFT_OUT) : whole
    return withoutPem(withoutNames)
      .replace(FINGERPRINT, (name) => standInFor('id', name))
      .replace(EMAIL, (name) => standInFor('user', name))
      .replace(IPV4, (name) => standInFor('host', name))
      .replace(IPV6, (name) => standInFor('host', name))
      .replace(HOME_PATH, (name) => standInFor('path', name))
      .replace(UUID, (name) => standInFor('id', name))
      .replace(HEX_SECRET, LEFT_OUT)
      .replace(LONG_SECRET, LEFT_OUT)
  }

  const value = (whole: unknown): unknown => {
    if (typeof whole === 'string') return text(whole)
    if (Array.isArray(whole)) return whole.map(value)
    if (typeof whole !== 'object' || whole === null) return whole
    return Object.fromEntries(
      Object.entries(whole).map(([key, inner]) => [
        standIns.get(key) ?? key,
        SECRET_KEY.test(key) && inner !== null ? LEFT_OUT : value(inner),
      ]),
    )
  }

  return { learn, text, value }
}

const escape = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&')
