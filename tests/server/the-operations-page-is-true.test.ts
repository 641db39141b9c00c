// E3, R5: docs/operations.md against the code: every setting with its default, every metric; the backup that it tells of.
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, it } from 'vitest'
import { backUp } from '../../server/backup.ts'
import { loadConfig, SETTING_KEYS } from '../../server/config.ts'
import { CATALOGUE_METRICS } from '../../server/operations/metric-texts.ts'
import { openStore } from '../../server/store/store.ts'
import { parseDuration } from '../../shared/duration.ts'
import { resource, startTestServer } from './support/access-server.ts'

const page = () => readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8')
const cellsOf = (text: string, heading: string): string[][] =>
  [...(text.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '').matchAll(/^\| (`.*) \|$/gm)].map(([, row = '']) =>
    row.split(' | ').map((cell) => cell.trim().replace(/^`([^`]*)`$/, '$1')),
  )

it('E3: every setting is on the page, and nothing else', async () => {
  const settings = cellsOf(await page(), 'Settings').map(([name = '']) => name)
  expect(settings.toSorted()).toEqual([...SETTING_KEYS].sort())
})

it('E3: the defaults on the page are those of the code', async () => {
  const config = loadConfig(undefined, { dataDir: '/data' }) as unknown as Record<string, Record<string, unknown>>
  for (const [name = '', written = ''] of cellsOf(await page(), 'Settings')) {
    const [section = '', key] = name.split('.')
    if (key === undefined || section === 'store' || section === 'oidc') continue
    const value = config[section]?.[key]
    const said =
      written === 'none' && value === null
        ? null
        : /^0\w+$/.test(written) && value === 0
          ? 0
          : (parseDuration(written) ?? (/^\d+$/.test(written) ? Number(written) : written))
    // What is only there if it is set is told in words.
    if (value === undefined) expect([name, written]).toSatisfy(() => /none|keep all|standard error/.test(written))
    else expect([name, said]).toEqual([name, typeof value === 'boolean' ? String(value) : value])
  }
})

it('R5: every metric is on the page with its meaning', async () => {
  const metrics = Object.fromEntries(
    cellsOf(await page(), 'Metrics')
      .filter(([name = '']) => /^postern_\w+$/.test(name))
      .map(([name, meaning]) => [name, meaning]),
  )
  expect(metrics).toEqual(CATALOGUE_METRICS)
})

it('a backup of a running server is whole, closed to others, and overwrites nothing', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'postern-backup-'))
  const server = await startTestServer()
  try {
    const root = await server.setUp()
    await server.apply(root, resource('orders'))
    const to = path.join(directory, 'copy.sqlite')
    await backUp(server.config, to)
    expect((await stat(to)).mode & 0o777).toBe(0o600)
    const copy = await openStore({ kind: 'sqlite', file: to })
    expect(await copy.db.selectFrom('resources').select('name').execute()).toEqual([{ name: 'orders' }])
    await copy.close()
    await expect(backUp(server.config, to)).rejects.toMatchObject({ code: 'conflict' })
    const precious = path.join(directory, 'precious')
    await writeFile(precious, 'precious')
    await expect(backUp(server.config, precious)).rejects.toMatchObject({ code: 'conflict' })
    expect(await readFile(precious, 'utf8')).toBe('precious')
    const elsewhere = { ...server.config, store: { kind: 'postgres' as const, url: 'postgresql://x/y' } }
    await expect(backUp(elsewhere, path.join(directory, 'n'))).rejects.toMatchObject({ code: 'unsupported' })
  } finally {
    await server.close()
    await rm(directory, { recursive: true, force: true })
  }
})
