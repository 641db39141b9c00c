// Between one window's page and the core: takes the page's messages (only from that window's own main frame, only from our own
// page), passes them through the page gate, and sends events down. Called by main.ts for each window that is made.
import { ipcMain, type BrowserWindow, type IpcMainEvent } from 'electron'
import { CALLS } from '../shared/rpc.ts'
import { FROM_PAGE, TO_PAGE } from './channels.ts'
import { isOwnPage } from './guards.ts'
import { createPageGate, type CoreCaller, type PageGate, type PageReply, type ShellHandlers } from './page-gate.ts'

export type PageLinkOptions = {
  window: BrowserWindow
  core: () => CoreCaller | undefined
  shell: ShellHandlers
  /** Opens the link of a login in the browser: the one that the core has just returned, never one of the page's. */
  openLoginLink: (url: string) => Promise<void>
  /** The page has just got the whole state: what it missed can be sent now. */
  onReady: () => void
  log: (text: string, cause?: unknown) => void
}

export type PageLink = {
  /** Whether the page has got its first state. */
  isReady(): boolean
  sendEvent(event: string, payload: unknown): void
}

/** A page gone mad must not fill the disk through the log. */
const REFUSALS_LOGGED = 100

/** Links a window's page until the window closes. */
export function linkPage({ window, core, shell, openLoginLink, onReady, log }: PageLinkOptions): PageLink {
  const contents = window.webContents
  let ready = false
  let refusals = 0

  const send = (message: PageReply): void => {
    if (!contents.isDestroyed()) contents.send(TO_PAGE, message)
  }
  const seenCore = (): CoreCaller | undefined => {
    const caller = core()
    if (!caller) return undefined
    return {
      async call(method, params, callOptions) {
        const result = await caller.call(method, params, callOptions)
        if (method === 'state.subscribe') {
          // After the answer itself has gone out.
          setImmediate(() => {
            ready = true
            if (!contents.isDestroyed()) onReady()
          })
        }
        if (method === 'login.sso') {
          const { url } = CALLS['login.sso'].result.parse(result)
          // Not opened, it can still be copied from the dialog.
          openLoginLink(url).catch((error: unknown) => log('the page of a login could not be opened', error))
        }
        return result
      },
    }
  }
  const openGate = (): PageGate =>
    createPageGate({
      core: seenCore,
      shell,
      send,
      onRefused: (why) => {
        refusals++
        if (refusals <= REFUSALS_LOGGED) log(`a message of the page was refused: ${why}`)
      },
      onBug: (error) => log('a call of the page failed', error),
    })
  let gate = openGate()

  const onMessage = (event: IpcMainEvent, text: unknown): void => {
    if (event.sender !== contents) return
    const frame = event.senderFrame
    if (!frame || frame.parent !== null || !isOwnPage(frame.url)) {
      log('a message from a frame that is not our page was refused')
      return
    }
    void gate.receive(text)
  }
  ipcMain.on(FROM_PAGE, onMessage)
  // A page that was loaded anew counts its calls from the start: it must not get the answers of the one before it.
  contents.on('did-navigate', () => {
    gate.close()
    ready = false
    gate = openGate()
  })
  window.once('closed', () => {
    gate.close()
    ready = false
    ipcMain.off(FROM_PAGE, onMessage)
  })

  return {
    isReady: () => ready,
    sendEvent: (event, payload) => send({ event, payload }),
  }
}
