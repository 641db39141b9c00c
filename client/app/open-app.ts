// Opens the app for a home with whatever the machine has: Electron, else a Chromium window, else a URL for the person to open
// elsewhere. The one way for `postern app` and the demo; they only say it differently.
import { launchBrowserHost, type AppHost, type LaunchOptions } from './launch.ts'
import {
  displayOf,
  findChromium,
  findElectron,
  hasDisplay,
  openElectron,
  type Machine,
  type Window,
} from './open-window.ts'

export type OpenedApp = {
  /** The browser host; null with Electron, which needs none. */
  host: AppHost | null
  /** The window that is coming up; null where there is no display, or no program for it: the person opens a URL. */
  window: Pick<Window, 'opened' | 'end'> | null
}

export type OpenAppOptions = LaunchOptions & {
  machine: Machine
  /** false: only the browser host is started, nothing is opened. */
  open: boolean
}

/**
 * Opens the app. Whether a window really came up is told by `window.opened`.
 * @throws PosternError `misconfigured` if the app is not built, `core_unreachable` if the browser host cannot be started
 */
export async function openApp(options: OpenAppOptions): Promise<OpenedApp> {
  const { machine, homeDir } = options
  const canOpen = options.open && hasDisplay(machine)
  const electron = canOpen ? await findElectron(machine) : undefined
  if (electron !== undefined) return { host: null, window: openElectron(electron, homeDir, machine) }
  const host = await launchBrowserHost(options)
  if (!canOpen || findChromium(machine) === undefined) return { host, window: null }
  // The window is the host's, which opens another one for a login, and ends both when it ends.
  const opened = host.openWindow(displayOf(machine.env))
  return { host, window: { opened, end: () => Promise.resolve() } }
}

/** Who and where a person is, for the line that brings a port of this machine to theirs. */
export type Whereabouts = { user: string; hostname: string; sshConnection: string | undefined }

/** The `ssh` line that makes the app's URL work on another machine: its port there has to be the same as here. */
export function tunnelLine(port: number, { user, hostname, sshConnection }: Whereabouts): string {
  // SSH_CONNECTION: client address, client port, server address, server port (ssh(1)): how the person got here works again.
  const [, , address, sshPort] = sshConnection?.split(' ') ?? []
  const portFlag = sshPort === undefined || sshPort === '22' ? '' : `-p ${sshPort} `
  return `ssh -N ${portFlag}-L ${port}:127.0.0.1:${port} ${user}@${address ?? hostname}`
}
