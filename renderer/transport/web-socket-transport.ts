// The page's way to the browser host: one WebSocket that comes back by itself, with growing pauses, until closed.
// Promises: messages sent while it is down are dropped (the RPC client fails their calls), states arrive in order.
import type { PageTransport } from '../../shared/shell.ts'

/** Pauses between attempts, in ms; the last one repeats. */
const PAUSES_MS = [250, 500, 1000, 2000, 4000]

export type WebSocketTransport = PageTransport & { close(): void }

/** `url`: ws://HOST:PORT/ws. `random` spreads attempts of several pages. */
export function createWebSocketTransport(url: string, random: () => number): WebSocketTransport {
  const messageListeners = new Set<(message: unknown) => void>()
  const stateListeners = new Set<(state: 'open' | 'closed') => void>()
  let socket: WebSocket | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let attempts = 0
  let isClosed = false

  const tell = (state: 'open' | 'closed'): void => {
    for (const listener of stateListeners) listener(state)
  }

  function open(): void {
    const current = new WebSocket(url)
    socket = current
    current.onopen = () => {
      attempts = 0
      tell('open')
    }
    current.onmessage = (event: { data: unknown }) => {
      const message = parseMessage(event.data)
      if (message === undefined) return
      for (const listener of messageListeners) listener(message)
    }
    current.onclose = () => {
      if (socket !== current) return
      socket = undefined
      tell('closed')
      if (isClosed) return
      const pause = PAUSES_MS[Math.min(attempts, PAUSES_MS.length - 1)] ?? 1000
      attempts += 1
      timer = setTimeout(open, pause * (0.75 + random() / 2))
    }
  }
  open()

  return {
    send(message) {
      if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message))
    },
    onMessage(listener) {
      messageListeners.add(listener)
      return () => messageListeners.delete(listener)
    },
    onState(listener) {
      stateListeners.add(listener)
      return () => stateListeners.delete(listener)
    },
    close() {
      isClosed = true
      clearTimeout(timer)
      socket?.close()
    },
  }
}

/** The message in one frame, or undefined for anything that is not JSON text: a broken peer is ignored, not crashed on. */
function parseMessage(data: unknown): unknown {
  if (typeof data !== 'string') return undefined
  try {
    return JSON.parse(data)
  } catch {
    return undefined
  }
}
