// Shuts the doors that Chromium leaves open: permissions, navigation, new windows, attached webviews, downloads. Called by main.ts before
// the first window. Source: Electron's security checklist, items 5, 12, 13, 14.
import type { App, Session, WebContents } from 'electron'
import { APP_ORIGIN } from './app-scheme.ts'

/** No page gets a permission, asked or looked up; ours needs none. */
export function denyPermissions(session: Session): void {
  session.setPermissionRequestHandler((_contents, _permission, answer) => answer(false))
  session.setPermissionCheckHandler(() => false)
  session.setDevicePermissionHandler(() => false)
  session.on('will-download', (event) => event.preventDefault())
}

/** Every page, whoever made it, stays where it is. */
export function guardPages(app: App): void {
  app.on('web-contents-created', (_event, contents) => guardPage(contents))
}

function guardPage(contents: WebContents): void {
  contents.setWindowOpenHandler(() => ({ action: 'deny' }))
  contents.on('will-navigate', (event) => {
    // A reload of the page itself is no journey.
    if (!isOwnPage(event.url)) event.preventDefault()
  })
  contents.on('will-redirect', (event) => event.preventDefault())
  contents.on('will-frame-navigate', (event) => {
    if (!event.isMainFrame) event.preventDefault()
  })
  contents.on('will-attach-webview', (event) => event.preventDefault())
}

/** Whether an address is the page that this app ships. */
export const isOwnPage = (url: string): boolean => url === APP_ORIGIN || url.startsWith(`${APP_ORIGIN}/`)
