// The tray: the overall state in words, the open gateways, log in, show, quit. Called by main.ts after every change; touches the
// system only when something that is shown has changed (the state changes every second under traffic).
import { Menu, nativeImage, Tray, type MenuItemConstructorOptions } from 'electron'
import type { TrayView } from './overall-state.ts'

export type TrayActions = {
  show: () => void
  goToGateway: (id: string) => void
  logIn: (profile: string) => void
  quit: () => void
}

export type AppTray = {
  update(view: TrayView): void
  close(): void
}

export function createTray(iconFile: string, actions: TrayActions): AppTray {
  const tray = new Tray(nativeImage.createFromPath(iconFile))
  tray.on('click', actions.show)
  let shown = ''
  return {
    update(view) {
      const next = JSON.stringify({ ...view, changesInMs: null })
      if (next === shown) return
      shown = next
      tray.setToolTip(view.tooltip)
      tray.setContextMenu(Menu.buildFromTemplate(menuOf(view, actions)))
    },
    close: () => tray.destroy(),
  }
}

function menuOf(view: TrayView, actions: TrayActions): MenuItemConstructorOptions[] {
  const separator: MenuItemConstructorOptions = { type: 'separator' }
  const gateways = view.gateways.map(({ id, label }) => ({ label, click: () => actions.goToGateway(id) }))
  const lives = view.lives.map(({ profile, label }) => ({
    label,
    click: () => actions.logIn(profile),
  }))
  const logins = view.logins.map((profile) => ({
    label: `Log in to ${profile}…`,
    click: () => actions.logIn(profile),
  }))
  return [
    { label: view.title, enabled: false },
    separator,
    ...(lives.length > 0 ? [...lives, separator] : []),
    ...(gateways.length > 0 ? [...gateways, separator] : []),
    ...(logins.length > 0 ? [...logins, separator] : []),
    { label: 'Show Postern', click: actions.show },
    { label: 'Quit Postern', click: actions.quit },
  ]
}
