// What the page may ask of the shell itself: copy, open an https address, show the log folder, say what this shell is. Called
// through the page gate, which has checked the parameters; what reaches the system is checked here once more.
import { app, clipboard, shell } from 'electron'
import { PosternError } from '../shared/errors.ts'
import { isLoginLink } from './login-link.ts'
import type { ShellHandlers } from './page-gate.ts'

export type ShellFacts = {
  logFile: string
  canStartAtLogin: boolean
  canNotify: boolean
  /** What the core that is attached says of its keys: it may be a terminal's, which has no key store. */
  keyProtection: () => string | undefined
}

const NOT_SAID = 'How your key is stored is said by the Postern core, which is not connected or has not said it.'

export const createShellCalls = ({
  logFile,
  canStartAtLogin,
  canNotify,
  keyProtection,
}: ShellFacts): ShellHandlers => ({
  'shell.describe': () =>
    Promise.resolve({
      kind: 'electron' as const,
      version: app.getVersion(),
      versions: {
        electron: process.versions.electron,
        chromium: process.versions.chrome,
        node: process.versions.node,
      },
      keyProtection: keyProtection() ?? NOT_SAID,
      canStartAtLogin,
      canNotify,
    }),
  'shell.copy': async ({ text }) => {
    await clipboard.writeText(text)
    return {}
  },
  'shell.openExternal': async ({ url }) => {
    if (!isSafeExternal(url)) {
      throw new PosternError('bad_request', 'only https addresses without a name and password in them are opened')
    }
    // As parsed, so that what was checked is what is opened.
    await shell.openExternal(new URL(url).href)
    return {}
  },
  // A window of the desktop app is raised, and needs no other one for a login.
  'shell.attention': () => Promise.resolve({}),
  'shell.loginWindow': () => Promise.resolve({ logins: [] }),
  'shell.loginShown': () => Promise.resolve({}),
  'shell.showLogs': () => {
    shell.showItemInFolder(logFile)
    return Promise.resolve({ shown: true })
  },
})

/**
 * Opens the link with which a login in the browser begins. It is the one address without https that is opened, and no page has a
 * say in it: it comes from the core, which serves it on this machine and leads on to the identity provider.
 * @throws PosternError `bad_request` for anything else
 */
export async function openLoginLink(url: string): Promise<void> {
  if (!isLoginLink(url)) throw new PosternError('bad_request', 'this is not the link of a login')
  await shell.openExternal(url)
}

/** https only, and nothing that disguises where it leads. */
export function isSafeExternal(url: string): boolean {
  const parsed = URL.parse(url)
  return parsed?.protocol === 'https:' && parsed.hostname !== '' && parsed.username === '' && parsed.password === ''
}
