// Takes secrets out of SQL before it goes to the audit log: a text that mentions a password loses all of its literals and
// comments, whichever of them the password was. Rather too much than too little: the log keeps what was done to whom, not
// with what. Best effort by nature: a statement that builds the word "password" at run time is not seen. Called by the
// statement log.
// Source: PostgreSQL documentation, 4.1 (lexical structure).

const MENTIONS_SECRET = /passw|pwd|secret/i
const REDACTED = "'[redacted]'"
const REDACTED_COMMENT = '/* [redacted] */'

/** The text as it may be logged. Also takes texts that were cut off: what has no end is redacted to the end. */
export function redactSecrets(sql: string): string {
  return MENTIONS_SECRET.test(sql) ? withoutLiterals(sql) : sql
}

function withoutLiterals(sql: string): string {
  let result = ''
  let offset = 0
  while (offset < sql.length) {
    const { kind, end } = nextToken(sql, offset)
    result += kind === 'literal' ? REDACTED : kind === 'comment' ? REDACTED_COMMENT : sql.slice(offset, end)
    offset = end
  }
  return result
}

type Token = { kind: 'literal' | 'comment' | 'other'; end: number }

function nextToken(sql: string, start: number): Token {
  // Prefixed strings: E'…' (backslash escapes), U&'…', B'…', X'…', N'…'.
  const quote = /^(?:[eE]|[uU]&|[bBxXnN])?'/y.exec(sql.slice(start, start + 3))
  if (quote) return { kind: 'literal', end: endOfString(sql, start + quote[0].length, /^e/i.test(quote[0])) }
  switch (sql[start]) {
    case '"':
      return { kind: 'other', end: endOfQuoted(sql, start + 1, '"') }
    case '$':
      return dollarQuoted(sql, start)
    case '-':
      if (sql[start + 1] === '-') return { kind: 'comment', end: endOr(sql, sql.indexOf('\n', start)) }
      break
    case '/':
      if (sql[start + 1] === '*') return { kind: 'comment', end: endOfBlockComment(sql, start + 2) }
      break
    case undefined:
    default:
      break
  }
  // A word is passed as a whole, so that the E of "NAME'…" is no prefix and the $ of "a$b$" no quote.
  const word = matchAt(/[\p{L}_][\p{L}\p{N}_$]*/uy, sql, start)
  return { kind: 'other', end: start + (word?.length ?? 1) }
}

/** After the closing quote; `''` inside is a quote of the text. */
function endOfString(sql: string, start: number, hasEscapes: boolean): number {
  for (let offset = start; offset < sql.length; offset++) {
    if (sql[offset] === '\\') {
      if (hasEscapes) offset++
      // With standard_conforming_strings off this escapes the quote, else it does not. Nobody told us, so nothing of the
      // rest is shown.
      else if (sql[offset + 1] === "'") return sql.length
    } else if (sql[offset] === "'") {
      if (sql[offset + 1] !== "'") return offset + 1
      offset++
    }
  }
  return sql.length
}

function endOfQuoted(sql: string, start: number, quote: string): number {
  const end = sql.indexOf(quote, start)
  return end < 0 ? sql.length : end + 1
}

function dollarQuoted(sql: string, start: number): Token {
  const tag = matchAt(/\$(?:[\p{L}_][\p{L}\p{N}_]*)?\$/uy, sql, start)
  // `$1` is a parameter.
  if (tag === undefined) return { kind: 'other', end: start + 1 }
  const end = sql.indexOf(tag, start + tag.length)
  return { kind: 'literal', end: end < 0 ? sql.length : end + tag.length }
}

/** Block comments nest in PostgreSQL. */
function endOfBlockComment(sql: string, start: number): number {
  let depth = 1
  const brackets = /\/\*|\*\//g
  brackets.lastIndex = start
  for (let match = brackets.exec(sql); match; match = brackets.exec(sql)) {
    depth += match[0] === '/*' ? 1 : -1
    if (depth === 0) return brackets.lastIndex
  }
  return sql.length
}

const endOr = (sql: string, end: number): number => (end < 0 ? sql.length : end)

function matchAt(pattern: RegExp, sql: string, start: number): string | undefined {
  pattern.lastIndex = start
  return pattern.exec(sql)?.[0]
}
