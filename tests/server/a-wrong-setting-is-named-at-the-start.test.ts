// E3: the settings file is strict; what is wrong is named with file, key and the nearest known key.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../server/config.ts'

let directory: string
let file: string
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'postern-config-'))
  file = path.join(directory, 'postern.yaml')
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const load = async (yaml: string, overrides = {}) => {
  await writeFile(file, yaml)
  return loadConfig(file, overrides)
}

describe('E3: what is wrong is named', () => {
  it.each([
    ['an unknown key', 'clutser: main', 'unknown key clutser; did you mean cluster?'],
    ['an unknown key further in', 'ttl: { users: 8h }', 'unknown key ttl.users; did you mean user?'],
    [
      'a key in other letters',
      'loginLimits: { peruserperminute: 5 }',
      'unknown key loginLimits.peruserperminute; did you mean perUserPerMinute?',
    ],
    ['a key that is like no other', 'zzzzzzzz: 1', 'unknown key zzzzzzzz; known keys: cluster, listen,'],
    [
      'a key that the kind of store does not have',
      'store: { kind: sqlite, file: x }',
      'unknown key store.file; known keys: kind, url',
    ],
    ['a duration that is none', 'ttl: { user: 8 hours }', 'ttl.user: "8 hours" is not a duration such as 30s'],
    ['a login of a year', 'ttl: { user: 365d }', 'ttl.user: a login lives at most 31d'],
    ['an address without a port', 'listen: localhost', 'listen: "localhost" is not HOST:PORT'],
    ['a port that there is not', 'listen: 0.0.0.0:70000', 'listen: "0.0.0.0:70000" is not HOST:PORT'],
    ['a cluster in capitals', 'cluster: MAIN', 'cluster: a name starts with'],
    [
      'a server name that is none',
      'serverNames: [localhost, "a b"]',
      'serverNames.1: this is neither a DNS name nor an IP address',
    ],
    ['a store without its url', 'store: { kind: postgres }', 'store.url: '],
    ['a store of another kind', 'store: { kind: mysql }', 'store.kind: '],
    ['a number as text', 'loginLimits: { perUserPerMinute: many }', 'loginLimits.perUserPerMinute: '],
    [
      'a limit that would lock out after three',
      'loginLimits: { perUserPerMinute: 3 }',
      'loginLimits.perUserPerMinute: ',
    ],
    ['a level that there is not', 'log: { level: loud }', 'log.level: '],
    [
      'an idle time that is none',
      'sessions: { idleTimeout: never }',
      'sessions.idleTimeout: "never" is neither a duration',
    ],
    [
      'a reaper that never looks',
      'sessions: { reaperInterval: 2h }',
      'sessions.reaperInterval: the reaper looks every',
    ],
    [
      'a session limit with a slip',
      'sessions: { idelTimeout: 5m }',
      'unknown key sessions.idelTimeout; did you mean idleTimeout?',
    ],
    [
      'metrics for everybody',
      'metrics: { listen: 0.0.0.0:3444 }',
      'metrics.listen: 0.0.0.0 is not loopback, and whoever reaches it reads the metrics without a login; say metrics.exposed: true',
    ],
    ['a retention that is no days', 'audit: { retention: 12h }', 'audit.retention: how many days events are kept'],
    ['a drain of two hours', 'drain: { timeout: 2h }', 'drain.timeout: "2h" is not a duration such as 0s, 30s or 10m'],
    ['a list', '- cluster', 'settings are a list of KEY: VALUE'],
    ['no YAML', 'cluster: "main', 'this is not YAML'],
  ])('%s', async (_what, yaml, text) => {
    const error: unknown = await load(yaml).catch((cause: unknown) => cause)
    expect(error).toMatchObject({ code: 'misconfigured' })
    expect(error instanceof Error && error.message).toContain(`${file}: ${text}`)
  })

  it('a file that is not there', () => {
    expect(() => loadConfig(file)).toThrow(`${file}: this settings file cannot be read`)
  })

  it('a flag is named itself, not the file', async () => {
    await expect(load('', { listen: 'x' })).rejects.toThrow('--listen: "x" is not HOST:PORT')
    await expect(load('', { userTtl: 'x' })).rejects.toThrow('--user-ttl: "x" is not a duration')
    await expect(load('', { routeTtl: '400d' })).rejects.toThrow('--route-ttl')
  })
})

it('an empty file means the defaults', async () => {
  const config = await load('', { dataDir: '/data' })
  expect(config).toEqual({
    cluster: 'postern',
    listen: { host: '127.0.0.1', port: 3443 },
    serverNames: ['localhost', '127.0.0.1'],
    dataDir: '/data',
    masterKeyFile: '/data/master.key',
    store: { kind: 'sqlite', file: '/data/postern.sqlite' },
    ttl: { user: 8 * 3_600_000, route: 600_000 },
    loginLimits: { perUserPerMinute: 10, perAddressPerMinute: 60 },
    controlStreams: { total: 10_000, perUser: 50 },
    sessions: {
      ...{ idleTimeout: 30 * 60_000, maxDuration: null, reaperInterval: 60_000 },
      writeStallTimeout: 5 * 60_000,
    },
    audit: {},
    metrics: { exposed: false },
    drain: { delay: 0, timeout: 0 },
    log: { level: 'info' },
  })
})

it('E3: metrics may be said to be for others too; a retention is days, a drain may wait for nothing', async () => {
  const config = await load(
    'metrics: { listen: 0.0.0.0:3444, exposed: true }\naudit: { retention: 90d }\ndrain: { delay: 5s, timeout: 0s }',
  )
  expect(config.metrics.listen).toEqual({ host: '0.0.0.0', port: 3444 })
  expect([config.audit.retention, config.drain]).toEqual([90 * 86_400_000, { delay: 5000, timeout: 0 }])
  for (const host of ['localhost', '127.0.0.1', '127.1.2.3', '"[::1]'])
    expect((await load(`metrics: { listen: ${host}:0${host.startsWith('"') ? '"' : ''} }`)).metrics.exposed).toBe(false)
})

it('a full file is read, paths from its folder; flags win', async () => {
  const yaml = `
cluster: prod
listen: "[::1]:8443"
dataDir: data
masterKeyFile: keys/master
store: { kind: postgres, url: "postgresql://postern@db/postern" }
ttl: { user: 1h30m, route: 5m }
log: { level: debug, file: server.log }
`
  const config = await load(yaml, { routeTtl: '20s' })
  expect(config).toMatchObject({
    cluster: 'prod',
    listen: { host: '::1', port: 8443 },
    serverNames: ['localhost', '127.0.0.1', '::1'],
    dataDir: path.join(directory, 'data'),
    masterKeyFile: path.join(directory, 'keys/master'),
    store: { kind: 'postgres', url: 'postgresql://postern@db/postern' },
    ttl: { user: 5_400_000, route: 20_000 },
    log: { level: 'debug', file: path.join(directory, 'server.log') },
  })
  expect((await load(yaml, { listen: '0.0.0.0:1', dataDir: '/d' })).listen).toEqual({ host: '0.0.0.0', port: 1 })
})
