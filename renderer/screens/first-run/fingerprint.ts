// Fingerprints of certificate authorities as people read, paste and compare them. Pure.

const HEX_DIGITS = 64

/** The groups in which a fingerprint (sha256:HEX) is shown: 16 of 4 digits. */
export const groupsOf = (fingerprint: string): readonly string[] =>
  fingerprint.replace(/^sha256:/, '').match(/.{1,4}/g) ?? []

export type ReadFingerprint =
  | { kind: 'empty' }
  | { kind: 'whole'; fingerprint: string }
  | { kind: 'strange' }
  /** So many digits instead of 64. */
  | { kind: 'length'; digits: number }

/** What a person typed or pasted: prefix, capitals, colons, dashes and spaces do not matter. */
export function readFingerprint(text: string): ReadFingerprint {
  const digits = text
    .toLowerCase()
    .replace(/^\s*sha-?256\s*[:=]?/, '')
    .replaceAll(/[\s:.-]/g, '')
  if (digits === '') return { kind: 'empty' }
  if (!/^[0-9a-f]*$/.test(digits)) return { kind: 'strange' }
  if (digits.length !== HEX_DIGITS) return { kind: 'length', digits: digits.length }
  return { kind: 'whole', fingerprint: `sha256:${digits}` }
}
