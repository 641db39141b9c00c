// The checks that come before anything else, for every request and every WebSocket upgrade: the local user at the other end,
// the Host (a rebound DNS name is not ours), the Origin and what the browser says of where the request comes from (a foreign
// page is not ours). Used by serve.ts. Shown by tests/e2e/only-the-person-gets-into-the-browser-host.test.ts.
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { CheckLocalUser, PeerVerdict } from '../../client/gateways/local-user.ts'

export type Refusal = { status: 400 | 401 | 403 | 404 | 405 | 421 | 503; text: string }

/** A function that judges the peer of a socket once, when it is accepted, however many requests it carries. */
export function createPeerCheck(check: CheckLocalUser): (socket: Socket) => Promise<PeerVerdict> {
  const verdicts = new WeakMap<Socket, Promise<PeerVerdict>>()
  return (socket) => {
    const known = verdicts.get(socket) ?? check(socket).catch((): PeerVerdict => 'gone')
    verdicts.set(socket, known)
    return known
  }
}

/** What refuses a connection of this peer, if anything. */
export function judgePeer(verdict: PeerVerdict): Refusal | undefined {
  switch (verdict) {
    case 'owner':
      return undefined
    // macOS and Windows: the launch token and the cookie it became are the check, and nobody else has them.
    case 'not told':
      return undefined
    case 'unreadable':
      return { status: 403, text: 'It cannot be told whose connection this is: /proc/net/tcp cannot be read.' }
    case 'another user':
    case 'gone':
      return { status: 403, text: 'This Postern belongs to another user of this machine.' }
  }
}

/** What refuses a request by its Host and Origin, if anything. `authority` is the only Host that is ours. */
export function judgeHeaders(request: IncomingMessage, authority: string): Refusal | undefined {
  // Node keeps the first of two Host headers; a proxy may look at the second.
  const hosts = request.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host')
  if (hosts.length !== 1 || request.headers.host !== authority)
    return { status: 421, text: 'There is no Postern under this name.' }
  const { origin } = request.headers
  if (origin !== undefined && origin !== `http://${authority}`)
    return { status: 403, text: 'Requests of other pages are refused.' }
  return undefined
}

/**
 * What refuses a request that another site caused (Fetch Metadata), the launch link excepted, which comes from outside on
 * purpose. Another port of our own host name counts as another site: cookies do not separate ports.
 */
export function judgeSite(request: IncomingMessage): Refusal | undefined {
  const site = request.headers['sec-fetch-site']
  if (site === undefined || site === 'same-origin' || site === 'none') return undefined
  return { status: 403, text: 'Requests of other pages are refused.' }
}
