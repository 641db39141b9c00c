// A plain WebSocket client of the control stream for tests of the server: records messages and the close, or the refusal.
import { once } from 'node:events'
import tls from 'node:tls'
import WebSocket from 'ws'
import { CONTROL_PATH, parseControlMessage, type ControlMessage } from '../../shared/control.ts'
import { ALPN, type Alpn } from '../../shared/names.ts'
import { waitUntil } from './client-core.ts'

export type ControlTarget = { port: number; caPem: string; credentials?: { certificate: string; key: string } }

export type OpenOptions = {
  alpn?: Alpn
  path?: string
  headers?: Record<string, string>
  autoPong?: boolean
}

export class ControlClient {
  readonly messages: ControlMessage[] = []
  readonly webSocket: WebSocket
  readonly socket: tls.TLSSocket
  closed: { code: number; reason: string } | undefined
  /** The framed answer instead of an upgrade. */
  refused: { status: number; body: { error: { code: string; text: string } } } | undefined

  private constructor(webSocket: WebSocket, socket: tls.TLSSocket) {
    this.webSocket = webSocket
    this.socket = socket
    webSocket.on('message', (data: Buffer) => {
      const message = parseControlMessage(data.toString())
      if (message) this.messages.push(message)
    })
    webSocket.on('close', (code, reason) => (this.closed = { code, reason: reason.toString() }))
    webSocket.on('error', () => undefined)
    webSocket.on('unexpected-response', (_request, response) => {
      let text = ''
      response.on('data', (bytes: Buffer) => (text += bytes.toString()))
      response.on('end', () => {
        this.refused = { status: response.statusCode ?? 0, body: JSON.parse(text) }
        socket.destroy()
      })
    })
  }

  /** Connects; resolves once it is open or refused. */
  static async open(target: ControlTarget, options: OpenOptions = {}): Promise<ControlClient> {
    const { alpn = ALPN.control, path = CONTROL_PATH, headers = {}, autoPong = true } = options
    const socket = tls.connect({
      host: '127.0.0.1',
      port: target.port,
      ca: target.caPem,
      ALPNProtocols: [alpn],
      ...(target.credentials ? { cert: target.credentials.certificate, key: target.credentials.key } : {}),
    })
    socket.on('error', () => undefined)
    await once(socket, 'secureConnect')
    const webSocket = new WebSocket(`ws://127.0.0.1${path}`, {
      createConnection: () => socket,
      perMessageDeflate: false,
      headers,
      autoPong,
    })
    const client = new ControlClient(webSocket, socket)
    await waitUntil(
      () => client.refused !== undefined || client.closed !== undefined || webSocket.readyState === WebSocket.OPEN,
      'the upgrade or its refusal',
    )
    return client
  }

  /** Waits for a message of that type, also one that came already. */
  async next<T extends ControlMessage['type']>(
    type: T,
    fits: (message: Extract<ControlMessage, { type: T }>) => boolean = () => true,
  ): Promise<Extract<ControlMessage, { type: T }>> {
    const find = () =>
      this.messages.find((one): one is Extract<ControlMessage, { type: T }> => one.type === type && fits(one as never))
    await waitUntil(() => find() !== undefined, `a message ${type}; came: ${JSON.stringify(this.messages)}`)
    return find()!
  }

  async ended(): Promise<{ code: number; reason: string }> {
    await waitUntil(() => this.closed !== undefined, 'the end of the control stream')
    return this.closed!
  }

  close(): void {
    this.webSocket.terminate()
    this.socket.destroy()
  }
}
