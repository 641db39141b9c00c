// What the browser host can do beyond the core: little, and it says so. Copying and opening pages is the page's own business,
// since the browser may run on another machine than this. Used by ../browser-host.ts.
import { PosternError } from '../../shared/errors.ts'
import type { CommonShell } from './page.ts'

const byPageItself = (what: string): Promise<never> =>
  Promise.reject(new PosternError('unsupported', `${what} is done by the page itself in a browser`))

export const browserShell = (version: string): CommonShell => ({
  'shell.describe': () =>
    Promise.resolve({
      kind: 'browser',
      version,
      versions: { node: process.versions.node, openssl: process.versions.openssl },
      // The core says itself what holds for it (AppState); this is what holds for every core.
      keyProtection:
        "Your key lies in a file that only you can read (mode 0600). It is wrapped by the system's key store only while the " +
        'desktop app runs the Postern core and the system has such a store; a core of a terminal or this page has none.',
      canStartAtLogin: false,
      canNotify: false,
    }),
  'shell.copy': () => byPageItself('copying'),
  'shell.openExternal': () => byPageItself('opening a page'),
  'shell.showLogs': () => Promise.resolve({ shown: false }),
})
