// A PostgreSQL client that costs next to nothing, so that hundreds fit into one process: startup message, one simple query, its
// one value. It has one socket for its whole life: what it gets, it got on the connection that waited.
import { createConnection, type Socket } from 'node:net'
import { parseErrorFields, type SeenError } from '../../shared/wire/postgres/backend-messages.ts'
import { encodeStartupMessage } from '../../shared/wire/postgres/startup.ts'
import { encodeMessage } from '../../shared/wire/postgres/backend-messages.ts'

export type Outcome =
  | { kind: 'value'; value: string }
  | { kind: 'refused'; error: SeenError }
  /** Closed without an answer. */
  | { kind: 'closed' }

export type LightClientOptions = {
  port: number
  account: string
  database: string
  /** application_name */
  name: string
  sql: string
  /** Sends the query right behind the startup message, without waiting to be let in. */
  isEager: boolean
}

/** What hundreds of clients have in common, whatever they speak. */
export type Waiting = Pick<LightClient, 'socket' | 'outcome' | 'settledAt' | 'isSettled' | 'end' | 'hangUp'> & {
  readonly options: { name: string }
}

const TYPE_AND_LENGTH_BYTES = 5

export class LightClient {
  readonly socket: Socket
  readonly options: LightClientOptions
  /** Resolves with the first thing that settles it; never rejects. */
  readonly outcome: Promise<Outcome>
  /** When that was, by performance.now(). */
  settledAt: number | undefined
  readonly #settle: (outcome: Outcome) => void
  #unread = Buffer.alloc(0)
  #isAsked = false

  constructor(options: LightClientOptions) {
    this.options = options
    const { promise, resolve } = Promise.withResolvers<Outcome>()
    this.outcome = promise
    this.#settle = (outcome) => {
      this.settledAt ??= performance.now()
      resolve(outcome)
    }
    this.socket = createConnection({ host: '127.0.0.1', port: options.port, noDelay: true })
    this.socket.on('error', () => undefined)
    this.socket.once('close', () => this.#settle({ kind: 'closed' }))
    this.socket.on('data', (bytes: Buffer) => this.#read(bytes))
    const startup = new Map([
      ['user', options.account],
      ['database', options.database],
      ['application_name', options.name],
    ])
    this.socket.write(encodeStartupMessage(startup))
    if (options.isEager) this.#ask()
  }

  get isSettled(): boolean {
    return this.settledAt !== undefined
  }

  /** Takes leave as PostgreSQL clients do. */
  end(): void {
    this.socket.end(encodeMessage('X'))
  }

  hangUp(): void {
    this.socket.destroy()
  }

  #ask(): void {
    if (this.#isAsked) return
    this.#isAsked = true
    this.socket.write(encodeMessage('Q', Buffer.from(`${this.options.sql}\0`)))
  }

  #read(bytes: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, bytes])
    while (this.#unread.length >= TYPE_AND_LENGTH_BYTES) {
      const size = 1 + this.#unread.readUInt32BE(1)
      if (this.#unread.length < size) return
      const type = String.fromCharCode(this.#unread.readUInt8())
      const body = this.#unread.subarray(TYPE_AND_LENGTH_BYTES, size)
      this.#unread = this.#unread.subarray(size)
      if (type === 'Z') this.#ask()
      // DataRow: a count of two bytes, then length and bytes of the one column.
      if (type === 'D') this.#settle({ kind: 'value', value: body.subarray(6).toString('utf8') })
      if (type === 'E') this.#settle({ kind: 'refused', error: parseErrorFields(body) })
    }
  }
}

/** The same for a line service on plain TCP: sends one line and waits for the one that comes back. */
export class LineClient implements Waiting {
  readonly socket: Socket
  readonly options: { name: string }
  readonly outcome: Promise<Outcome>
  settledAt: number | undefined

  constructor(port: number, name: string, line: string) {
    this.options = { name }
    const { promise, resolve } = Promise.withResolvers<Outcome>()
    this.outcome = promise
    const settle = (outcome: Outcome): void => {
      this.settledAt ??= performance.now()
      resolve(outcome)
    }
    let text = ''
    this.socket = createConnection({ host: '127.0.0.1', port, noDelay: true })
    this.socket.on('error', () => undefined)
    this.socket.once('close', () => settle({ kind: 'closed' }))
    this.socket.setEncoding('utf8').on('data', (piece: string) => {
      text += piece
      if (text.endsWith('\n')) settle({ kind: 'value', value: text.trimEnd() })
    })
    this.socket.write(`${line}\n`)
  }

  get isSettled(): boolean {
    return this.settledAt !== undefined
  }

  end(): void {
    this.socket.end()
  }

  /** With a reset: the end of what a tcp client sends is no hanging up. */
  hangUp(): void {
    this.socket.resetAndDestroy()
  }
}
