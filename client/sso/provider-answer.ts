// Reads what the provider sent the browser back with (RFC 6749, 4.1.2; `iss`: RFC 9207). It comes from outside: each parameter
// once, bounded, and texts for people without control characters. Pure; called by door.ts.

export type ProviderAnswer =
  | { kind: 'code'; code: string; state: string; iss: string | undefined }
  /** The provider said no. `text` is for people. */
  | { kind: 'error'; error: string; state: string; text: string | null }
  | { kind: 'nonsense'; state: string | undefined }

const CODE_MAX_CHARS = 4096
const ISS_MAX_CHARS = 1000
const STATE_MAX_CHARS = 200
/** Of a description, in characters; it is shown in a dialog. */
const TEXT_MAX_CHARS = 200

/** @param query the part after the question mark */
export function readProviderAnswer(query: string): ProviderAnswer {
  const params = new URLSearchParams(query)
  const only = (name: string, maxChars: number): string | undefined => {
    const values = params.getAll(name)
    const [value] = values
    return values.length === 1 && value !== undefined && value !== '' && value.length <= maxChars ? value : undefined
  }
  const state = only('state', STATE_MAX_CHARS)
  // Twice the same parameter: one of them may be meant for somebody else's eyes (RFC 6749, 3.1).
  const isRepeated = ['code', 'state', 'iss', 'error'].some((name) => params.getAll(name).length > 1)
  if (state === undefined || isRepeated) return { kind: 'nonsense', state }
  const error = only('error', 60)
  if (error !== undefined)
    return /^[a-z0-9_.-]+$/i.test(error)
      ? { kind: 'error', error, state, text: plainText(params.get('error_description') ?? '') }
      : { kind: 'nonsense', state }
  const code = only('code', CODE_MAX_CHARS)
  if (code === undefined || (params.has('iss') && only('iss', ISS_MAX_CHARS) === undefined))
    return { kind: 'nonsense', state }
  return { kind: 'code', code, state, iss: only('iss', ISS_MAX_CHARS) }
}

/** One line without control, format (bidirectional overrides among them) and other invisible characters; null if nothing is left. */
export function plainText(text: string): string | null {
  const line = text
    .slice(0, 4 * TEXT_MAX_CHARS)
    .replaceAll(/[\p{C}\p{Z}]+/gu, ' ')
    .trim()
  if (line === '') return null
  const characters = Array.from(line)
  return characters.length <= TEXT_MAX_CHARS ? line : `${characters.slice(0, TEXT_MAX_CHARS).join('')}…`
}
