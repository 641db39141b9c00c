// The browser host's door: one HTTP server on 127.0.0.1 that hands out the app's files, exchanges launch tokens for cookies,
// answers `postern app url`, and passes WebSocket upgrades on. Every request is judged before anything is done with it.
// Called by host.ts.
import { once } from 'node:events'
import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import type { CheckLocalUser } from '../../client/gateways/local-user.ts'
import { PAGE_MESSAGE_MAX_BYTES } from '../../shared/shell.ts'
import { jsonAnswer, launchPage, pagePolicy, refusalPage, securityHeaders, type Answer } from './answers.ts'
import type { AppFiles } from './app-files.ts'
import { createPeerCheck, judgeHeaders, judgePeer, judgeSite, type Refusal } from './guard.ts'
import { COOKIE_NAME, type Launches } from './launches.ts'

/** The path below which a one-time token is exchanged for a cookie. */
export const LAUNCH_PATH = '/launch/'
/** Where `postern app` asks for a way in, with the secret of the door file. */
export const TICKET_PATH = '/ticket/'
const PAGE_SOCKET_PATH = '/ws'

/** A browser that sends its request more slowly is cut off, in ms. */
const REQUEST_DEADLINE_MS = 10_000
const BODY_MAX_BYTES = 64 * 1024
/** A window takes a handful of connections. */
const CONNECTIONS_MAX = 256
const PAGES_MAX = 64

const COME_IN_AGAIN =
  'This page is opened by its launcher. Run "postern app url" in a terminal and open the address that it prints.'
const USED_UP =
  'This link was used already: each opens Postern once. Run "postern app url" in a terminal for a fresh one.'

export type DoorOptions = {
  /** First label of the host name: random, since cookies do not separate ports but host names do. */
  label: string
  /** The port of last time, so that an `ssh -L` line stays good; another one if it is taken. */
  preferredPort: number | undefined
  files: AppFiles
  launches: Launches
  /** Gives a way in to whoever knows the door's secret. */
  secret: string
  ticket: (kind: 'url' | 'window', body: string) => Promise<unknown>
  /** A token was used; its redirect file can go. */
  onRedeemed: (token: string) => void
  onPage: (page: WebSocket) => void
  checkLocalUser: CheckLocalUser
  randomText: () => string
}

export type Door = {
  /** RANDOM.localhost:PORT */
  readonly authority: string
  readonly port: number
  /** Says good-bye to pages and ends all connections. Idempotent. */
  close(): Promise<void>
}

export async function openDoor(options: DoorOptions): Promise<Door> {
  const { launches, files } = options
  const checkPeer = createPeerCheck(options.checkLocalUser)
  let authority = ''

  const judge = async (request: IncomingMessage): Promise<Refusal | undefined> =>
    judgePeer(await checkPeer(request.socket)) ?? judgeHeaders(request, authority)

  const launch = (token: string): Answer => {
    const redeemed = launches.redeem(token)
    if (redeemed === undefined) return refusalPage({ status: 403, text: USED_UP })
    options.onRedeemed(token)
    const cookie = `${COOKIE_NAME}=${redeemed.session}; HttpOnly; SameSite=Strict; Path=/`
    return launchPage(cookie, redeemed.path, options.randomText())
  }

  const giveTicket = async (request: IncomingMessage, kind: string): Promise<Answer> => {
    if (request.method !== 'POST') return refusalPage({ status: 405, text: 'This is asked with POST.' })
    const isTold = sameText(request.headers.authorization ?? '', `Bearer ${options.secret}`)
    // A page never asks this, and would say where it comes from if it did.
    if (!isTold || request.headers.origin !== undefined) return refusalPage({ status: 403, text: COME_IN_AGAIN })
    if (kind !== 'url' && kind !== 'window') return refusalPage({ status: 404, text: 'There is no such ticket.' })
    const body = await readBody(request)
    if (body === undefined) return refusalPage({ status: 400, text: 'This request is too long.' })
    return jsonAnswer(await options.ticket(kind, body))
  }

  const answer = async (request: IncomingMessage): Promise<Answer> => {
    const path = (request.url ?? '').split('?', 1)[0] ?? ''
    const refusal = await judge(request)
    if (refusal) return refusalPage(refusal)
    if (path.startsWith(TICKET_PATH)) return giveTicket(request, path.slice(TICKET_PATH.length))
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return refusalPage({ status: 405, text: 'Only reading is possible here.' })
    // HEAD uses no token up: what looks at links before a person does is not the person.
    if (path.startsWith(LAUNCH_PATH) && request.method === 'GET') return launch(path.slice(LAUNCH_PATH.length))
    const site = judgeSite(request)
    if (site) return refusalPage(site)
    if (!launches.isKnown(request.headers.cookie)) return refusalPage({ status: 401, text: COME_IN_AGAIN })
    const file = files.get(path)
    if (!file) return refusalPage({ status: 404, text: 'There is no such page.' })
    const headers = { ...securityHeaders(pagePolicy(authority)), 'content-type': file.type }
    return { status: 200, headers, body: file.body }
  }

  const server = createServer(
    { requestTimeout: REQUEST_DEADLINE_MS, headersTimeout: REQUEST_DEADLINE_MS, connectionsCheckingInterval: 1000 },
    (request, response) => {
      answer(request).then(
        (given) => send(request, response, given),
        () => send(request, response, refusalPage({ status: 503, text: 'Postern could not answer; try again.' })),
      )
    },
  )
  server.maxConnections = CONNECTIONS_MAX

  const pages = new WebSocketServer({ noServer: true, maxPayload: PAGE_MESSAGE_MAX_BYTES, clientTracking: true })
  const judgeUpgrade = async (request: IncomingMessage): Promise<Refusal | undefined> => {
    const refusal = (await judge(request)) ?? judgeSite(request)
    if (refusal) return refusal
    // Unlike for a file, the Origin has to be there: every browser sends it with a WebSocket.
    if (request.headers.origin === undefined)
      return { status: 403, text: 'A WebSocket says which page it belongs to (Origin).' }
    if (!launches.isKnown(request.headers.cookie)) return { status: 401, text: COME_IN_AGAIN }
    if (request.url !== PAGE_SOCKET_PATH) return { status: 404, text: 'There is no such WebSocket.' }
    if (pages.clients.size >= PAGES_MAX) return { status: 503, text: 'Too many windows are open.' }
    return undefined
  }
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => undefined)
    judgeUpgrade(request).then(
      (refusal) => {
        if (refusal) refuseUpgrade(socket, refusal)
        else pages.handleUpgrade(request, socket, head, options.onPage)
      },
      () => socket.destroy(),
    )
  })
  server.on('connection', (socket: Socket) => void checkPeer(socket))

  const port = await listen(server, options.preferredPort)
  authority = `${options.label}.localhost:${port}`

  let closing: Promise<void> | undefined
  return {
    authority,
    port,
    close() {
      closing ??= closeServer(server, pages)
      return closing
    },
  }
}

/** The text that came with a request; undefined if it is longer than anything that is asked here. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > BODY_MAX_BYTES) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function send(request: IncomingMessage, response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) })
  response.end(request.method === 'HEAD' ? undefined : body)
}

/** A framed answer (E2): a browser shows nothing of it, but a tool and its log do. */
function refuseUpgrade(socket: Duplex, { status, text }: Refusal): void {
  const body = `${text}\n`
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'connection: close',
    'content-type: text/plain; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

/** Listens on loopback only; resolves to the port. */
async function listen(server: Server, preferredPort: number | undefined): Promise<number> {
  for (const port of preferredPort === undefined ? [0] : [preferredPort, 0]) {
    server.listen(port, '127.0.0.1')
    try {
      await once(server, 'listening')
      break
    } catch (error) {
      if (port === 0) throw error
    }
  }
  return (server.address() as AddressInfo).port
}

async function closeServer(server: Server, pages: WebSocketServer): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  for (const page of pages.clients) page.close(1001, 'the browser host ends')
  const deadline = setTimeout(() => server.closeAllConnections(), 500)
  const pageDeadline = setTimeout(() => pages.clients.forEach((page) => page.terminate()), 500)
  server.closeIdleConnections()
  await closed
  clearTimeout(deadline)
  clearTimeout(pageDeadline)
}

/** Whether two texts are the same, in a time that does not tell where they differ. */
const sameText = (one: string, other: string): boolean => timingSafeEqual(sha256(one), sha256(other))
const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest()
