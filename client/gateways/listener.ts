// The listening socket of a gateway: loopback only, one port, no second choice. Called by gateway.ts.
import { createServer, type Socket } from 'node:net'
import { keepAlive } from '../../link/keepalive.ts'
import { portConflict } from './ports.ts'

export const GATEWAY_HOST = '127.0.0.1'

export type Listener = {
  /** Stops accepting; connections that were accepted are their owner's. Resolves when the port is free. */
  stop(): void
}

/** @throws PosternError `port_conflict` if the port is taken or not allowed */
export function listenOnLoopback(port: number, onConnection: (socket: Socket) => void): Promise<Listener> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      keepAlive(socket)
      onConnection(socket)
    })
    const onError = (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') reject(portConflict(port, 'another program', error))
      else if (error.code === 'EACCES') reject(portConflict(port, 'the system (it needs more rights)', error))
      else reject(error)
    }
    server.once('error', onError)
    server.listen({ host: GATEWAY_HOST, port, exclusive: true }, () => {
      server.off('error', onError)
      // Accepting can fail for a moment (too many open files); the listener goes on.
      server.on('error', () => undefined)
      resolve({ stop: () => void server.close() })
    })
  })
}
