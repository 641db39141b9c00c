// Where the person's browser starts and comes back to: a small HTTP server on a random port of 127.0.0.1, open only while logins
// are under way or just over. Knows paths, headers and cookies; what a login is and how it ends is sso-logins.ts's business.
// Nothing that it is asked goes into any log: links and codes are secrets.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { entranceFor } from '../gateways/entrance.ts'
import type { CheckLocalUser, PeerVerdict } from '../gateways/local-user.ts'
import { GATEWAY_HOST } from '../gateways/listener.ts'
import { headersOf, htmlOf, refusalPage, type Page } from './pages.ts'

/** A browser that sends its request more slowly is cut off, in ms. */
const REQUEST_DEADLINE_MS = 10_000
/** A browser opens a handful of connections. */
const CONNECTIONS_MAX = 32
const URL_MAX_CHARS = 8192

export const START_PATH = '/start/'
export const CALLBACK_PATH = '/callback'
export const DONE_PATH = '/done/'

/** How a request is answered: a page, or the way elsewhere, perhaps with a cookie that is set or (no value) taken back. */
export type DoorAnswer = { page: Page; cookie?: SetCookie } | { redirectTo: string; cookie?: SetCookie }
export type SetCookie = { name: string; value: string | undefined; maxAgeSeconds: number }

export type DoorHandlers = {
  start(token: string): DoorAnswer
  /** @param query after the question mark; @param cookies by name */
  callback(query: string, cookies: ReadonlyMap<string, string>): Promise<DoorAnswer>
  done(token: string): DoorAnswer
}

export type Door = {
  readonly port: number
  /** Stops answering; resolves when the port is free. Idempotent. */
  close(): Promise<void>
}

export async function openSsoDoor(handlers: DoorHandlers, checkLocalUser: CheckLocalUser): Promise<Door> {
  const verdicts = new WeakMap<Socket, Promise<PeerVerdict>>()
  const verdictOn = (socket: Socket): Promise<PeerVerdict> => {
    const verdict = verdicts.get(socket) ?? checkLocalUser(socket).catch((): PeerVerdict => 'gone')
    verdicts.set(socket, verdict)
    return verdict
  }

  const answer = async (request: IncomingMessage): Promise<DoorAnswer> => {
    // Where the system tells nobody's name, the state in the cookie and the address is the check.
    if (entranceFor(await verdictOn(request.socket), false) !== 'open')
      return { page: refusalPage(403, 'This login belongs to another user of this machine.') }
    const refusal = judge(request, `${GATEWAY_HOST}:${port}`)
    if (refusal) return { page: refusal }
    const [path = '', query = ''] = splitAt(request.url ?? '', '?')
    if (path.startsWith(START_PATH)) return handlers.start(path.slice(START_PATH.length))
    if (path.startsWith(DONE_PATH)) return handlers.done(path.slice(DONE_PATH.length))
    if (path === CALLBACK_PATH) return handlers.callback(query, cookiesOf(request.headers.cookie))
    return { page: refusalPage(404, 'There is no such page.') }
  }

  const server = createServer(
    {
      requestTimeout: REQUEST_DEADLINE_MS,
      headersTimeout: REQUEST_DEADLINE_MS,
      connectionsCheckingInterval: 1000,
      maxHeaderSize: 2 * URL_MAX_CHARS,
    },
    (request, response) => {
      answer(request).then(
        (given) => send(response, given),
        () => send(response, { page: refusalPage(503, 'Postern could not answer; start the login again.') }),
      )
    },
  )
  server.maxConnections = CONNECTIONS_MAX
  server.on('connection', (socket: Socket) => void verdictOn(socket))
  server.listen({ host: GATEWAY_HOST, port: 0, exclusive: true })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  // Accepting can fail for a moment (too many open files); the door stays.
  server.on('error', () => undefined)

  let closing: Promise<void> | undefined
  return {
    port,
    close() {
      closing ??= new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      return closing
    },
  }
}

/** What refuses a request before anything is done for it: a rebound DNS name, a page that fetches, a prefetch. */
function judge(request: IncomingMessage, authority: string): Page | undefined {
  // Node keeps the first of two Host headers; something in between may look at the second.
  const hosts = request.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host')
  if (hosts.length !== 1 || request.headers.host !== authority)
    return refusalPage(421, 'There is no Postern under this name.')
  if (request.method !== 'GET') return refusalPage(405, 'Only reading is possible here.')
  if ((request.url ?? '').length > URL_MAX_CHARS) return refusalPage(414, 'This address is too long.')
  // A link is followed by a person: not by an <img>, a fetch or a frame of a page (Fetch Metadata), nor ahead of time.
  const { 'sec-fetch-mode': mode, 'sec-fetch-dest': destination, 'sec-purpose': purpose } = request.headers
  const isNavigation = (mode ?? 'navigate') === 'navigate' && (destination ?? 'document') === 'document'
  if (!isNavigation || purpose !== undefined) return refusalPage(403, 'This address is for a person to open.')
  return undefined
}

function send(response: ServerResponse, answer: DoorAnswer): void {
  const nonce = randomBytes(16).toString('base64url')
  const page = 'page' in answer ? answer.page : { status: 303, title: 'Postern', lines: [], isGood: false }
  const body = htmlOf(page, nonce)
  response.writeHead(page.status, {
    ...headersOf(nonce),
    ...('redirectTo' in answer ? { location: answer.redirectTo } : {}),
    ...(answer.cookie ? { 'set-cookie': cookieText(answer.cookie) } : {}),
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  })
  response.end(body)
}

/** Lax: it has to come along when the provider sends the browser back. Only to the one path that needs it. */
const cookieText = ({ name, value, maxAgeSeconds }: SetCookie): string =>
  `${name}=${value ?? ''}; Path=${CALLBACK_PATH}; HttpOnly; SameSite=Lax; Max-Age=${value === undefined ? 0 : maxAgeSeconds}`

function cookiesOf(header: string | undefined): Map<string, string> {
  const cookies = new Map<string, string>()
  for (const pair of (header ?? '').split(';')) {
    const [name = '', value] = splitAt(pair.trim(), '=')
    if (value !== undefined && !cookies.has(name)) cookies.set(name, value)
  }
  return cookies
}

/** The text before and after the first mark; one part if there is none. */
function splitAt(text: string, mark: string): [string] | [string, string] {
  const at = text.indexOf(mark)
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)]
}
