// Which way this page talks to its shell: Electron's preload exposes `window.postern`, the browser host serves /ws.
import type { PageTransport } from '../../shared/shell.ts'
import { createWebSocketTransport } from './web-socket-transport.ts'

declare global {
  interface Window {
    readonly postern?: PageTransport
  }
}

/** The transport, and whether it is open from the start: Electron's IPC is, a WebSocket says so when it is. */
export function pickTransport(): { transport: PageTransport; isOpen: boolean } {
  if (window.postern) return { transport: window.postern, isOpen: true }
  const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`
  return { transport: createWebSocketTransport(url, Math.random), isOpen: false }
}
