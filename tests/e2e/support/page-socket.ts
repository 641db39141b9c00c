// A page's WebSocket without a page: what it sends, what it gets. Used by the tests of the browser host.
import { WebSocket } from 'ws'
import { PATIENCE } from '../../support/patience.ts'
import { rawRequest } from './raw-http.ts'

export type Reply = {
  id?: number
  result?: unknown
  error?: { code: string; text: string }
  event?: string
  payload?: Record<string, unknown>
}

export class PageSocket {
  readonly replies: Reply[] = []
  readonly closed: Promise<number>
  private readonly socket: WebSocket
  /** Far from what nonsense may hit upon. */
  private nextId = 1_000_000_000_000

  constructor(authority: string, port: number, cookie: string) {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, {
      headers: { host: authority, cookie },
      origin: `http://${authority}`,
    })
    this.socket.on('message', (data: Buffer) => this.replies.push(JSON.parse(data.toString('utf8')) as Reply))
    this.socket.on('error', () => undefined)
    this.closed = new Promise((resolve) => this.socket.once('close', resolve))
  }

  /** Opens the app with a one-time URL and connects. */
  static async open(url: string): Promise<PageSocket> {
    const { host, port, pathname } = new URL(url)
    const answer = await rawRequest(Number(port), `GET ${pathname}`, { host })
    const cookie = answer.headers.get('set-cookie')?.split(';')[0]
    if (cookie === undefined) throw new Error(`the URL opened nothing: ${answer.status}`)
    const page = new PageSocket(host, Number(port), cookie)
    await page.opened()
    return page
  }

  opened(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.socket.readyState === WebSocket.OPEN) resolve()
      this.socket.once('open', resolve)
      this.socket.once('close', () => reject(new Error('the page was not let in')))
    })
  }

  sendRaw(data: string | Buffer): void {
    this.socket.send(data)
  }

  async call(method: string, params: unknown): Promise<Reply> {
    const id = this.nextId++
    this.sendRaw(JSON.stringify({ id, method, params }))
    return this.wait((reply) => reply.id === id, `the answer to ${method}`)
  }

  event(name: string, test: (payload: Record<string, unknown>) => boolean = () => true): Promise<Reply> {
    return this.wait((reply) => reply.event === name && test(reply.payload ?? {}), name)
  }

  private async wait(test: (reply: Reply) => boolean, what: string): Promise<Reply> {
    const deadline = Date.now() + PATIENCE * 20_000
    for (;;) {
      const found = this.replies.find(test)
      if (found) return found
      if (Date.now() > deadline)
        throw new Error(`${what} did not come; came: ${JSON.stringify(this.replies).slice(0, 2000)}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  async close(): Promise<void> {
    this.socket.close()
    await this.closed
  }
}
