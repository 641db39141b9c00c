// A faithful fake of the `electron` module: the built main process and preload run unmodified on it, windows are pages of a real
// Chromium, the preload lives in an isolated world. It throws where insecure preferences are asked for. What it cannot prove is
// said in tests/electron/README.md. Driven by the test through control.ts.
import './control.ts'

Object.defineProperty(process.versions, 'electron', { value: '45.4.1-fake', enumerable: true })
Object.defineProperty(process.versions, 'chrome', { value: 'see the page', enumerable: true })

export { app, powerMonitor } from './app.ts'
export { safeStorage } from './safe-storage.ts'
export {
  clipboard,
  dialog,
  Menu,
  nativeImage,
  nativeTheme,
  Notification,
  protocol,
  screen,
  session,
  shell,
  Tray,
  utilityProcess,
} from './system.ts'
export { BrowserWindow, ipcMain } from './window.ts'
