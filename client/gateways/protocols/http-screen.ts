// Keeps web pages out of gateways that carry any bytes (G18): a page can make a browser of this person send an HTTP request to
// any port of the machine, by fetch, form or WebSocket, or under a name of its own that it lets point to 127.0.0.1. What begins
// like such a request is held back until its head is whole; one that a page of somebody else may have caused goes no further.
// Everything else passes at its first byte. Pure; called by tcp.ts. Sources: RFC 9112 (request), Fetch Metadata, RFC 6454 (Origin).

export type Judgement =
  /** Not enough bytes to tell. */
  { kind: 'more' } | { kind: 'pass' } | { kind: 'refused'; text: string }

export interface ByteScreen {
  /** Takes the next bytes of the client. After `pass` or `refused` it is done. */
  take(bytes: Buffer): Judgement
  /** No more came for a while: `pass` where it is still nothing but a likeness, else it has to be waited for. */
  giveUp(): Judgement
}

/** What browsers begin with; other methods need a preflight, which is OPTIONS. */
const METHODS = ['GET ', 'POST ', 'HEAD ', 'OPTIONS ', 'PUT ', 'DELETE ', 'PATCH ', 'CONNECT ']
/** Browsers send no longer heads, in bytes. */
const HEAD_MAX_BYTES = 64 * 1024

const MORE: Judgement = { kind: 'more' }
const PASS: Judgement = { kind: 'pass' }
const refused = (text: string): Judgement => ({ kind: 'refused', text })

/** A screen for one connection. It looks at the first request only: what follows on a connection comes from the same page. */
export function createHttpScreen(): ByteScreen {
  let head = ''
  let isRequest = false
  return {
    take(bytes) {
      head += bytes.toString('latin1')
      const lineEnd = head.indexOf('\n')
      if (!isRequest) {
        if (!METHODS.some((method) => head.startsWith(method) || method.startsWith(head))) return PASS
        if (lineEnd < 0) return head.length > HEAD_MAX_BYTES ? refused('a request line without an end') : MORE
        if (!/ HTTP\/1\.\d\r?$/.test(head.slice(0, lineEnd))) return PASS
        isRequest = true
      }
      const end = /\n\r?\n/.exec(head)
      if (end) return judgeHead(head.slice(lineEnd + 1, end.index + 1))
      return head.length > HEAD_MAX_BYTES ? refused('an HTTP request whose head is too long') : MORE
    },
    giveUp: () => (isRequest ? MORE : PASS),
  }
}

/** Names that lead to this machine whoever asks: a page cannot have them as its own. */
const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i

/** @param fields the header lines */
function judgeHead(fields: string): Judgement {
  const values = (wanted: string): string[] =>
    fields.split('\n').flatMap((line) => {
      const colon = line.indexOf(':')
      return line.slice(0, colon).trim().toLowerCase() === wanted ? [line.slice(colon + 1).trim()] : []
    })
  const hosts = values('host')
  const [host] = hosts
  // A browser always says it; a program that speaks HTTP/1.0 may not.
  if (host === undefined) return PASS
  if (hosts.length > 1 || !LOOPBACK_HOST.test(host)) {
    return refused('an HTTP request for another host: a page may have let its own name point here')
  }
  const own = `http://${host}`.toLowerCase()
  const isForeign = (url: string): boolean => url.toLowerCase() !== own && !url.toLowerCase().startsWith(`${own}/`)
  if ([...values('origin'), ...values('referer')].some(isForeign)) return refused('an HTTP request of a foreign page')
  const isSame = (site: string): boolean => site === 'same-origin' || site === 'none'
  if (!values('sec-fetch-site').every(isSame)) return refused('an HTTP request that a foreign page caused')
  return PASS
}
