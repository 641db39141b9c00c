// What the page sees of the shell: one transport, `window.postern`, and nothing else. Runs sandboxed in an isolated world; the
// page never gets hold of ipcRenderer, an event or a channel name of its choice (D1).
import { contextBridge, ipcRenderer } from 'electron'
import type { PageTransport } from '../shared/shell.ts'
import { FROM_PAGE, TO_PAGE } from './channels.ts'

const transport: PageTransport = {
  send: (message) => {
    ipcRenderer.send(FROM_PAGE, JSON.stringify(message))
  },
  onMessage: (listener) => {
    const forward = (_event: unknown, message: unknown): void => listener(message)
    ipcRenderer.on(TO_PAGE, forward)
    return () => void ipcRenderer.removeListener(TO_PAGE, forward)
  },
  // Unlike a WebSocket, Electron's IPC is there as long as the page.
  onState: (listener) => {
    listener('open')
    return () => undefined
  },
}

contextBridge.exposeInMainWorld('postern', transport)
