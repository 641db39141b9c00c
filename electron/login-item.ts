// Starting Postern when the person signs in to the machine: the system's own list on macOS and Windows, an autostart file on Linux
// (freedesktop Autostart specification). Called by main.ts when the setting changes; only an installed app can be started so.
import { mkdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { App } from 'electron'
import { writeFileAtomically } from '../client/atomic-file.ts'

export type LoginItem = { set(startsAtLogin: boolean): Promise<void> }

/** The argument that makes Postern start in the tray, without a window. */
export const IN_BACKGROUND = '--in-background'

export function createLoginItem(app: App, platform: NodeJS.Platform, configDir: string, program: string): LoginItem {
  if (platform !== 'linux') {
    return {
      set: (openAtLogin) => {
        app.setLoginItemSettings({ openAtLogin, args: [IN_BACKGROUND] })
        return Promise.resolve()
      },
    }
  }
  const file = join(configDir, 'autostart', 'postern.desktop')
  return {
    async set(startsAtLogin) {
      if (!startsAtLogin) {
        await rm(file, { force: true })
        return
      }
      await mkdir(dirname(file), { recursive: true })
      await writeFileAtomically(file, desktopEntry(program))
    },
  }
}

/** Exec quoting: desktop entry specification, "The Exec key". */
function desktopEntry(program: string): string {
  const quoted = program.replace(/["`$\\]/g, (character) => `\\${character}`).replaceAll('%', '%%')
  return `[Desktop Entry]\nType=Application\nName=Postern\nExec="${quoted}" ${IN_BACKGROUND}\nTerminal=false\n`
}
