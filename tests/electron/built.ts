// The built app (main, core, preload, renderer) of the sources as they are now, built once for all test files: its folder is named
// after the state of the sources and appears whole, so several files may ask for it at the same time.
import { createHash, randomUUID } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { run } from '../support/run.ts'

export const root = resolve(import.meta.dirname, '../..')

export type PageKind = 'fixture' | 'real'

/** Configuration and what goes in besides the shell and the core. */
const KINDS = {
  real: { config: 'electron.vite.config.ts', page: 'renderer' },
  fixture: { config: 'tests/electron/fixture.vite.config.ts', page: 'tests/electron/fixture-page' },
}
const SOURCES = ['electron', 'client', 'link', 'shared', 'electron.vite.config.ts', 'package.json']

/** The folder with main/, preload/ and renderer/, the latter ours or the fixture page. */
export async function builtApp(kind: PageKind): Promise<string> {
  const { config } = KINDS[kind]
  const folder = folderOf(kind)
  if (await exists(folder)) return folder
  await removeOld(kind)
  const beside = `${folder}-${randomUUID()}`
  const built = await run(
    process.execPath,
    [join(root, 'node_modules/electron-vite/bin/electron-vite.js'), 'build', '--config', config, '--outDir', beside],
    { cwd: root, timeoutMs: 100_000 },
  )
  if (built.code !== 0) throw new Error(`the app could not be built:\n${built.stdout}\n${built.stderr}`)
  // What the app's own package.json says to Node and Electron.
  await writeFile(join(beside, 'package.json'), '{"type": "module", "main": "main/main.js", "version": "0.1.0"}')
  try {
    await rename(beside, folder)
  } catch (error) {
    // Another test file was faster.
    await rm(beside, { recursive: true, force: true })
    if (!(await exists(folder))) throw error
  }
  return folder
}

/** Removes what this run has built; called once, after the last test file. Outside of the checkout no node_modules can help a build along. */
export async function removeBuiltApps(): Promise<void> {
  for (const kind of ['real', 'fixture'] as const) await rm(folderOf(kind), { recursive: true, force: true })
}

function folderOf(kind: PageKind): string {
  const { config, page } = KINDS[kind]
  const state = stateOf([...SOURCES, config, page])
  return join(tmpdir(), `postern-built-${process.getuid?.() ?? 0}-${kind}-${state}`)
}

/** Builds of a day ago and more: nobody uses them any more. */
async function removeOld(kind: PageKind): Promise<void> {
  const prefix = `postern-built-${process.getuid?.() ?? 0}-${kind}-`
  for (const name of readdirSync(tmpdir()).filter((one) => one.startsWith(prefix))) {
    const found = await stat(join(tmpdir(), name)).catch(() => undefined)
    if (found && Date.now() - found.mtimeMs > 86_400_000)
      await rm(join(tmpdir(), name), { recursive: true, force: true })
  }
}

function stateOf(sources: readonly string[]): string {
  const hash = createHash('sha256')
  const look = (path: string): void => {
    const found = statSync(path)
    if (found.isDirectory()) {
      for (const name of readdirSync(path).sort()) look(join(path, name))
    } else {
      hash.update(`${path} ${found.size} ${found.mtimeMs}\n`)
    }
  }
  for (const source of sources) look(join(root, source))
  return hash.digest('hex').slice(0, 16)
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
