// How a test drives the fake from its own process: questions come as messages of the process channel, answers go back the same way.
import { app, powerMonitor } from './app.ts'
import { note, record } from './record.ts'
import { nativeTheme, system } from './system.ts'
import { ipcMain, windows } from './window.ts'

type Command = { id: number; what: string; with: Record<string, unknown> }

const commands = {
  inspect: () => ({
    ...record,
    windows: windows.map((window) => ({
      isVisible: window.isShown,
      isFocused: window.hasFocus,
      isMinimized: window.isSmall,
      options: window.options,
    })),
    tray: system.trays.map((tray) => ({
      tooltip: tray.tooltip,
      labels: tray.menu.items.map(({ label }) => label ?? '-'),
    })),
    theme: nativeTheme.themeSource,
    menuRoles: system.menu?.items.map(({ role, label }) => role ?? label),
    schemes: system.schemes,
    utilityPids: system.utilities.map(({ pid }) => pid),
  }),
  emitApp: ({ event, args }: { event: string; args: unknown[] }) =>
    app.emit(event, { preventDefault: () => undefined }, ...args),
  emitPower: ({ event }: { event: string }) => powerMonitor.emit(event),
  clickTray: ({ label }: { label: string }) => {
    const item = system.trays[0]?.menu.items.find((one) => one.label === label)
    if (!item?.click) throw new Error(`no such tray item: ${label}`)
    item.click()
  },
  clickNotification: ({ index }: { index: number }) => system.notifications[index]?.emit('click'),
  windowDo: ({ verb }: { verb: 'close' | 'blur' | 'focus' | 'minimize' | 'hide' }) => windows[0]?.[verb](),
  /** The renderer process ends, as Electron tells it; what the page knew is gone with the reload that follows. */
  losePage: ({ reason }: { reason: 'killed' | 'crashed' | 'oom' }) =>
    windows[0]?.webContents.emit('render-process-gone', {}, { reason, exitCode: 9 }),
  answerDialog: ({ response }: { response: number }) => record.dialogAnswers.push(response),
  quit: () => app.quit(),
  /** Any message on any channel, from any frame: what a compromised page could send at worst. */
  forgeIpc: ({
    channel,
    args,
    frameUrl,
    isSubFrame,
  }: {
    channel: string
    args: unknown[]
    frameUrl: string | null
    isSubFrame: boolean
  }) => {
    const window = windows[0]
    if (!window) throw new Error('no window')
    const parent = isSubFrame ? window.mainFrame() : null
    const senderFrame = frameUrl === null ? null : { url: frameUrl, parent }
    ipcMain.emit(channel, { sender: window.webContents, senderFrame }, ...args)
  },
  ipcChannels: () => ipcMain.eventNames(),
  askPermission: ({ permission }: { permission: string }) => {
    let answered: boolean | null = null
    system.askPermission?.({}, permission, (may) => (answered = may))
    return {
      asked: answered,
      checked: system.checkPermission?.({}, permission) ?? null,
      device: system.checkDevice?.() ?? null,
    }
  },
  attachWebview: () => {
    let prevented = false
    windows[0]?.webContents.emit('will-attach-webview', { preventDefault: () => (prevented = true) })
    return prevented
  },
  openPopup: ({ url }: { url: string }) => windows[0]?.webContents.openHandler({ url }),
}

const commandOf = (what: string): ((params: never) => unknown) => {
  const command = new Map<string, (params: never) => unknown>(Object.entries(commands)).get(what)
  if (!command) throw new Error(`the fake knows no command ${what}`)
  return command
}

process.on('message', (message: Command) => {
  const { id, what, with: params } = message
  Promise.resolve()
    .then(() => commandOf(what)(params as never))
    .then(
      (result) => process.send?.({ id, result: result ?? null }),
      (error: unknown) => process.send?.({ id, error: String(error) }),
    )
    .catch((error: unknown) => note('the test has gone', String(error)))
})
