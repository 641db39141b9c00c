// The ways into one gateway: its loopback port and, if the person wants one, a Unix socket beside it. Opened and moved together,
// the new ones first. Owned by gateway.ts.
import type { Socket } from 'node:net'
import { listenOnLoopback, type Listener } from './listener.ts'
import { listenOnUnixSocket, placeSocket, type SocketWish } from './unix-listener.ts'

export type Door = 'port' | 'socket'

export type DoorOptions = Pick<SocketWish, 'uid' | 'platform'> & {
  /** What a socket of that port is called in a directory. */
  socketName: (port: number) => Pick<SocketWish, 'name' | 'isNameFixed'>
  onConnection: (socket: Socket, door: Door) => void
}

export class Doors {
  readonly #options: DoorOptions
  #port: Listener | undefined
  #socket: { path: string; listener: Listener } | undefined

  constructor(options: DoorOptions) {
    this.#options = options
  }

  /** Where the Unix socket lies, if there is one. */
  get socketPath(): string | undefined {
    return this.#socket?.path
  }

  /**
   * Opens them, or moves them to another port: the new ones come up first, and if one does not, the old ones stay.
   * @param wish the directory or path of the Unix socket, if there is to be one
   * @throws PosternError `port_conflict`, or what placeSocket throws
   */
  async open(port: number, wish: string | undefined): Promise<void> {
    const { onConnection } = this.#options
    const path = wish === undefined ? undefined : await this.#place(port, wish)
    const listener = await listenOnLoopback(port, (client) => onConnection(client, 'port'))
    try {
      if (path !== undefined) await this.#openSocket(path)
    } catch (error) {
      listener.stop()
      throw error
    }
    this.#port?.stop()
    this.#port = listener
  }

  /** Adds a Unix socket to an open port. @throws PosternError as open */
  async addSocket(port: number, wish: string): Promise<void> {
    await this.#openSocket(await this.#place(port, wish))
  }

  /** No more connections come; the port is free and the socket's file gone. Idempotent. */
  stop(): void {
    this.#port?.stop()
    this.#socket?.listener.stop()
    this.#port = this.#socket = undefined
  }

  #place(port: number, path: string): Promise<string> {
    const { uid, platform, socketName } = this.#options
    return placeSocket({ path, ...socketName(port), uid, platform })
  }

  async #openSocket(path: string): Promise<void> {
    // A name that has no port in it stays when the port moves.
    if (path === this.#socket?.path) return
    const listener = await listenOnUnixSocket(path, (client) => this.#options.onConnection(client, 'socket'))
    this.#socket?.listener.stop()
    this.#socket = { path, listener }
  }
}
