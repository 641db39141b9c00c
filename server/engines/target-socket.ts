// The TCP connection from an engine to its target, with the deadline and the error that every protocol needs. Called by the
// engines.
import { connect, type Socket } from 'node:net'
import { keepAlive } from '../../link/keepalive.ts'
import { PosternError } from '../../shared/errors.ts'

/** HOST:PORT with IPv6 in brackets, as the schema of resources checked it. */
export function splitAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':')
  return { host: address.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(address.slice(colon + 1)) }
}

/**
 * Connects to HOST:PORT; the caller owns the socket, which knows half-close.
 * @param signal the deadline and every other reason to give up
 * @throws PosternError `target_unreachable` with the cause for the log; the signal's reason if it aborts
 */
export async function connectToTarget(address: string, signal: AbortSignal): Promise<Socket> {
  const socket = connect({
    ...splitAddress(address),
    allowHalfOpen: true,
    noDelay: true,
  })
  keepAlive(socket)
  // Errors that nobody waits for show as the close that follows them.
  socket.on('error', () => undefined)
  try {
    await opened(socket, 'connect', signal)
    return socket
  } catch (cause) {
    socket.destroy()
    signal.throwIfAborted()
    throw new PosternError('target_unreachable', 'the target cannot be reached', { cause })
  }
}

/** Resolves on `event`; rejects with the socket's error, or with the signal's reason. */
export function opened(socket: Socket, event: 'connect' | 'secureConnect', signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      socket.off(event, onOpen).off('error', onError).off('close', onClose)
      signal.removeEventListener('abort', onAbort)
      act()
    }
    const onOpen = () => settle(resolve)
    const onError = (error: Error) => settle(() => reject(error))
    const onClose = () => onError(new Error('the target closed the connection'))
    const onAbort = () => onError(signal.reason as Error)
    if (signal.aborted) {
      reject(signal.reason as Error)
      return
    }
    socket.on(event, onOpen).on('error', onError).on('close', onClose)
    signal.addEventListener('abort', onAbort, { once: true })
  })
}
