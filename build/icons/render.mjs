// Renders icon.svg into the bitmaps that Electron and the installers want (electron-builder makes .icns and .ico of icon.png). Run by
// hand after the drawing has changed: node build/icons/render.mjs
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { chromium } from 'playwright-core'

const here = import.meta.dirname
const app = await readFile(path.join(here, 'icon.svg'), 'utf8')
const glyph = (colour) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" fill="none" stroke="${colour}" stroke-width="3" stroke-linecap="round" stroke-linejoin="round"><path d="M5 27V13a11 11 0 0 1 22 0v14M3.5 27h25M12 27V17a4 4 0 0 1 8 0v10"/></svg>`

const PICTURES = [
  { file: 'icon.png', svg: app, size: 1024 },
  { file: 'tray.png', svg: glyph('#0d8578'), size: 32 },
  // macOS tints a template image (black and clear) as the menu bar needs it.
  { file: 'trayTemplate.png', svg: glyph('#000'), size: 16 },
  { file: 'trayTemplate@2x.png', svg: glyph('#000'), size: 32 },
]

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
try {
  const page = await browser.newPage()
  for (const { file, svg, size } of PICTURES) {
    await page.setViewportSize({ width: size, height: size })
    await page.setContent(`<style>*{margin:0}svg{display:block;width:${size}px;height:${size}px}</style>${svg}`)
    await writeFile(path.join(here, file), await page.screenshot({ omitBackground: true }))
  }
} finally {
  await browser.close()
}
