// A shell for looking at the interface and for testing it without core or Electron: serves the built renderer under the
// product's content security policy and speaks the page protocol on /ws with a scripted state. Used by renderer tests.
import { createReadStream, existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'
import react from '@vitejs/plugin-react'
import { build } from 'vite'
import { WebSocketServer, type WebSocket } from 'ws'
import { applyChanges, type AppState, type StateChange } from '../../shared/app-state.ts'
import { PosternError } from '../../shared/errors.ts'
import { PageMessage } from '../../shared/shell.ts'
import { respond } from './fixture-state.ts'

const ROOT = join(import.meta.dirname, '../..')
export const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** Answers a call of the page: a result, or a thrown PosternError. May change the state and send events through `host`. */
export type Responder = (method: string, params: unknown, host: FixtureHost) => unknown

export type FixtureHost = {
  url: string
  state: AppState
  /** Every call that the page made, oldest first. */
  calls: { method: string; params: unknown }[]
  /** Changes the state and sends the patch; `skip` loses it on the way, as a page that was away would see it. */
  patch(changes: StateChange[], options?: { skip?: boolean }): void
  event(event: string, payload: unknown): void
  /** Cuts every page's WebSocket. */
  drop(): void
  close(): Promise<void>
}

/** Builds the renderer from its sources into `outDir`; each test file does it once, into a directory of its own. */
export async function buildRenderer(outDir: string): Promise<string> {
  await build({
    root: join(ROOT, 'renderer'),
    base: './',
    configFile: false,
    logLevel: 'error',
    plugins: [react()],
    build: { outDir, emptyOutDir: true, modulePreload: { polyfill: false }, assetsInlineLimit: 0 },
  })
  return outDir
}

/** Starts the host on a free port of the loopback address. `respond` answers calls; by default a friendly core does. */
export async function startFixtureHost({
  renderer,
  state,
  responder = respond,
}: {
  /** The folder of the built renderer. */
  renderer: string
  state: AppState
  responder?: Responder
}): Promise<FixtureHost> {
  const http = createServer((request, response) => {
    const path = normalize(new URL(request.url ?? '/', 'http://fixture').pathname)
    const file = join(renderer, path === '/' ? 'index.html' : path)
    if (!file.startsWith(renderer) || !existsSync(file)) {
      response.writeHead(404).end()
      return
    }
    response.writeHead(200, {
      'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
      'content-security-policy': CSP,
    })
    createReadStream(file).pipe(response)
  })
  const sockets = new WebSocketServer({ server: http, path: '/ws' })
  const subscribers = new Set<WebSocket>()
  let seq = 0

  const host: FixtureHost = {
    url: '',
    state,
    calls: [],
    patch(changes, { skip = false } = {}) {
      host.state = applyChanges(host.state, changes)
      seq += 1
      if (skip) return
      for (const socket of subscribers) send(socket, { event: 'state.patch', payload: { seq, changes } })
    },
    event(event, payload) {
      for (const socket of sockets.clients) send(socket, { event, payload })
    },
    drop() {
      for (const socket of sockets.clients) socket.terminate()
    },
    async close() {
      host.drop()
      sockets.close()
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
    },
  }

  sockets.on('connection', (socket) => {
    socket.on('close', () => subscribers.delete(socket))
    socket.on('error', () => subscribers.delete(socket))
    socket.on('message', (data: Buffer) => void answer(socket, data.toString('utf8')))
  })

  async function answer(socket: WebSocket, text: string): Promise<void> {
    const { id, method, params } = PageMessage.parse(JSON.parse(text))
    host.calls.push({ method, params })
    try {
      if (method === 'state.subscribe') {
        subscribers.add(socket)
        send(socket, { id, result: { seq, state: host.state } })
        return
      }
      send(socket, { id, result: (await responder(method, params, host)) ?? {} })
    } catch (failure) {
      if (!(failure instanceof PosternError)) throw failure
      send(socket, { id, error: failure.toBody() })
    }
  }

  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const { port } = http.address() as AddressInfo
  host.url = `http://fixture.localhost:${port}/`
  return host
}

const send = (socket: WebSocket, message: unknown): void => {
  if (socket.readyState === socket.OPEN) socket.send(JSON.stringify(message))
}
