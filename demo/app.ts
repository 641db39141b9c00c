// The demo's app: opened when the demo is ready, ended with it. A demo without an app is still a demo: what is missing is said
// and nothing else fails. Used by main.ts.
import { hostname, userInfo } from 'node:os'
import { findBrowserHost } from '../client/app/launch.ts'
import { openApp, tunnelLine, type OpenedApp } from '../client/app/open-app.ts'

const FIND_DEADLINE_MS = 5000

export type DemoApp = {
  /** Opens the app once; null where it has a window of its own program, or there is no app. */
  url: string | null
  /** For people: where it is. */
  text: string
  /** Closes what was opened. */
  close(): Promise<void>
}

export const noApp = (text = 'No app was opened (--no-app). Open it with: postern app'): DemoApp => ({
  url: null,
  text,
  close: () => Promise.resolve(),
})

/** Opens the app for the demo's home; it lives as long as this process. */
export async function openDemoApp(home: string, env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<DemoApp> {
  const machine = { platform: process.platform, env, uid: process.getuid?.() }
  let opened: OpenedApp
  try {
    opened = await openApp({ homeDir: home, machine, open: true, withLauncher: true, signal })
  } catch (error) {
    signal.throwIfAborted()
    return noApp(`The app could not be opened: ${error instanceof Error ? error.message : String(error)}`)
  }
  const { host, window } = opened
  const url = (await host?.freshUrl()) ?? null
  return {
    url,
    text: window
      ? `The app opens in a window.${url === null ? '' : ` In a browser: ${url}`}`
      : urlText(url, host?.port, env),
    async close() {
      await window?.end()
      await host?.close()
    },
  }
}

/** The app of a demo that runs already: a fresh URL, since the first one may have been used. */
export async function findDemoApp(home: string, env: NodeJS.ProcessEnv): Promise<DemoApp> {
  const host = await findBrowserHost(home, AbortSignal.timeout(FIND_DEADLINE_MS))
  if (!host) return noApp('Open the app with: postern app')
  const url = await host.freshUrl()
  return { ...noApp(urlText(url, host.port, env)), url }
}

function urlText(url: string | null, port: number | undefined, env: NodeJS.ProcessEnv): string {
  if (url === null || port === undefined) return 'Open the app with: postern app'
  const tunnel = tunnelLine(port, {
    user: userInfo().username,
    hostname: hostname(),
    sshConnection: env['SSH_CONNECTION'],
  })
  return `The app, in a browser on this machine (the address works once; "postern app url" prints another):
  ${url}
From another machine, run this there first and open the address there:
  ${tunnel}`
}
