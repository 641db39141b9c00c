// Parses each text of the store once: every connection reads its resource and roles anew (C4), and what they say is nearly always
// what they said before. What a text says never changes, so nothing here can be out of date. Called by records.ts.

/** So many texts of one kind are kept, the latest ones; each a few hundred bytes. */
const MAX_TEXTS = 1000

/** The parser, which keeps what it has parsed, frozen: all who ask share it. Its errors are not kept. */
export function parsedOnce<T>(parse: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>()
  return (text) => {
    const before = known.get(text)
    if (before !== undefined) return before
    const fresh = freeze(parse(text))
    const [oldest] = known.size >= MAX_TEXTS ? known.keys() : []
    if (oldest !== undefined) known.delete(oldest)
    known.set(text, fresh)
    return fresh
  }
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) freeze(part)
  return Object.freeze(value)
}
