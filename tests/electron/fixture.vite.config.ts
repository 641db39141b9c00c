// The built app with the fixture page in place of the renderer: tests of the shell do not depend on the interface.
import { resolve } from 'node:path'
import { defineConfig } from 'electron-vite'
import app from '../../electron.vite.config.ts'

const page = resolve('tests/electron/fixture-page')

export default defineConfig({
  ...app,
  renderer: {
    root: page,
    base: './',
    build: { modulePreload: { polyfill: false }, rolldownOptions: { input: resolve(page, 'index.html') } },
  },
})
