// `server init`: one server a directory, all of it or nothing, closed to others.
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { loadConfig, type ServerConfig } from '../../server/config.ts'
import { initialise } from '../../server/init.ts'
import { openStore } from '../../server/store/store.ts'

let directory: string
let config: ServerConfig
const now = () => new Date()
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'postern-init-'))
  config = loadConfig(undefined, { dataDir: path.join(directory, 'deep', 'data'), listen: '0.0.0.0:3443' })
})
afterEach(() => rm(directory, { recursive: true, force: true }))

it('makes everything, closed to others, and hands out what the next step needs', async () => {
  const made = await initialise(config, { now })
  expect(made).toMatchObject({
    cluster: 'postern',
    address: 'localhost:3443',
    caFile: path.join(config.dataDir, 'ca.pem'),
  })
  expect(made.fingerprint).toMatch(/^sha256:[0-9a-f]{64}$/)
  expect(made.setupCode).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){5}[0-9A-HJKMNP-TV-Z]{4}$/)
  expect((await stat(config.dataDir)).mode & 0o777).toBe(0o700)
  for (const name of ['master.key', 'postern.sqlite'])
    expect((await stat(path.join(config.dataDir, name))).mode & 0o777, name).toBe(0o600)
  const store = await openStore(config.store)
  const settings = await store.db.selectFrom('settings').selectAll().execute()
  expect(JSON.stringify(settings)).not.toContain(made.setupCode)
  await store.close()
})

it('E3: names an address that its certificate has', async () => {
  const made = await initialise({ ...config, serverNames: ['db.example.com', '10.0.0.7'] }, { now })
  expect(made.address).toBe('db.example.com:3443')
})

it('refuses to run twice, and touches nothing then', async () => {
  await initialise(config, { now })
  const before = await readFile(config.masterKeyFile)
  await expect(initialise(config, { now })).rejects.toMatchObject({ code: 'conflict' })
  expect(await readFile(config.masterKeyFile)).toEqual(before)
  expect((await readdir(config.dataDir)).sort()).toEqual(['ca.pem', 'master.key', 'postern.sqlite'])
})

it('refuses a store that is there without its master key, and leaves it', async () => {
  await initialise(config, { now })
  await rm(config.masterKeyFile)
  await expect(initialise(config, { now })).rejects.toMatchObject({ code: 'conflict' })
  expect((await readdir(config.dataDir)).sort()).toEqual(['ca.pem', 'postern.sqlite'])
})

it('of two at once one makes the server, and it is whole', async () => {
  const results = await Promise.allSettled([initialise(config, { now }), initialise(config, { now })])
  expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  expect((await readdir(config.dataDir)).sort()).toEqual(['ca.pem', 'master.key', 'postern.sqlite'])
})

it('leaves nothing behind when it fails', async () => {
  const unreachable = { ...config, store: { kind: 'postgres' as const, url: 'postgresql://x@127.0.0.1:1/x' } }
  await expect(initialise(unreachable, { now })).rejects.toMatchObject({ code: 'misconfigured' })
  expect(await readdir(directory)).toEqual([])
})

it('takes an empty directory and closes it, refuses an open one with other files in it', async () => {
  await mkdir(config.dataDir, { recursive: true })
  await chmod(config.dataDir, 0o755)
  await writeFile(path.join(config.dataDir, 'holiday.jpg'), '')
  await expect(initialise(config, { now })).rejects.toThrow(`chmod 700 ${config.dataDir}`)
  expect(await readdir(config.dataDir)).toEqual(['holiday.jpg'])
  await rm(path.join(config.dataDir, 'holiday.jpg'))
  await initialise(config, { now })
  expect((await stat(config.dataDir)).mode & 0o777).toBe(0o700)
})
