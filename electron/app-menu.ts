// The application menu: standard roles only, so that copy, paste, zoom and quit work as everywhere. No developer tools in an
// installed app. Called by main.ts once.
import { Menu, type MenuItemConstructorOptions } from 'electron'

export function setAppMenu(options: {
  isMac: boolean
  isDevelopment: boolean
  onSettings: () => void
  onAbout: () => void
}): void {
  const settings: MenuItemConstructorOptions = {
    label: 'Settings…',
    accelerator: 'CmdOrCtrl+,',
    click: options.onSettings,
  }
  const about: MenuItemConstructorOptions = { label: 'About Postern', click: options.onAbout }
  const separator: MenuItemConstructorOptions = { type: 'separator' }
  const appMenu: MenuItemConstructorOptions = {
    label: 'Postern',
    submenu: [
      about,
      separator,
      settings,
      separator,
      { role: 'services' },
      separator,
      { role: 'hide' },
      { role: 'hideOthers' },
      { role: 'unhide' },
      separator,
      { role: 'quit' },
    ],
  }
  const fileMenu: MenuItemConstructorOptions = {
    label: 'File',
    submenu: options.isMac ? [{ role: 'close' }] : [settings, separator, { role: 'close' }, { role: 'quit' }],
  }
  const viewMenu: MenuItemConstructorOptions = {
    label: 'View',
    submenu: [
      { role: 'reload' },
      ...(options.isDevelopment ? [{ role: 'toggleDevTools' } as const] : []),
      separator,
      { role: 'resetZoom' },
      { role: 'zoomIn' },
      { role: 'zoomOut' },
      separator,
      { role: 'togglefullscreen' },
    ],
  }
  const helpMenu: MenuItemConstructorOptions = { role: 'help', submenu: options.isMac ? [] : [about] }
  Menu.setApplicationMenu(
    Menu.buildFromTemplate([
      ...(options.isMac ? [appMenu] : []),
      fileMenu,
      { role: 'editMenu' },
      viewMenu,
      { role: 'windowMenu' },
      helpMenu,
    ]),
  )
}
