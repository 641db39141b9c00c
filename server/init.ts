// `postern server init`: makes data directory, master key, store, CAs and the one-time setup code. Called by main.ts and
// the demo. Refuses to run twice, and leaves nothing behind when it fails.
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readdir, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { PosternError } from '../shared/errors.ts'
import { newSetupCode } from './accounts/setup-code.ts'
import { openAuthority } from './ca/authority.ts'
import { caFileOf, writeCaFile } from './ca/ca-file.ts'
import { createCas } from './ca/cas.ts'
import type { ServerConfig } from './config.ts'
import { createMasterKey } from './secrets/master-key.ts'
import type { Clock } from './seams.ts'
import { readSetting, writeSetting } from './store/settings.ts'
import { openStore } from './store/store.ts'

/** What a person needs to start the server and to make the first administrator. */
export type Initialised = {
  cluster: string
  /** HOST:PORT to log in to. */
  address: string
  fingerprint: string
  /** The server CA's certificate, for `postern login --ca`. */
  caFile: string
  /** Shown once: the store has only its hash. */
  setupCode: string
}

/**
 * Makes a new server.
 * @param now the clock
 * @throws PosternError `conflict` if there is one already (nothing is touched), `misconfigured` if files or the store
 * cannot be made (everything that this run made is removed again)
 */
export async function initialise(config: ServerConfig, { now }: { now: Clock }): Promise<Initialised> {
  const files: string[] = []
  let directories: string[] = []
  try {
    directories = await makeDataDirectory(config.dataDir)
    // First and exclusively: of two runs at once, one makes the key and the other one stops here.
    const masterKey = await createMasterKey(config.masterKeyFile).catch((error: unknown) => {
      throw error instanceof PosternError && error.code === 'conflict' ? alreadyInitialised(config, error) : error
    })
    files.push(config.masterKeyFile)
    if (config.store.kind === 'sqlite') await claimSqliteFile(config, config.store.file, files)

    const store = await openStore(config.store)
    try {
      const setup = newSetupCode(randomBytes)
      const authority = await store.db.transaction().execute(async (db) => {
        if ((await readSetting(db, 'cluster')) !== undefined) throw alreadyInitialised(config)
        await writeSetting(db, 'cluster', config.cluster)
        await writeSetting(db, 'setup_code', setup.hash)
        await createCas(db, masterKey, config.cluster, now())
        return openAuthority(db, masterKey, now)
      })
      const caFile = caFileOf(config.dataDir)
      files.push(caFile)
      await writeCaFile(config.dataDir, authority.serverCaPem)
      return {
        cluster: config.cluster,
        address: `${reachableHost(config)}:${config.listen.port}`,
        fingerprint: authority.fingerprint,
        caFile,
        setupCode: setup.code.reveal(),
      }
    } finally {
      await store.close()
    }
  } catch (error) {
    for (const file of files) await rm(file, { force: true })
    // Only empty ones: another init may have been quicker, and its files are not ours.
    for (const directory of directories) await rmdir(directory).catch(() => undefined)
    if (error instanceof PosternError) throw error
    throw new PosternError('misconfigured', `the server cannot be made in ${config.dataDir}`, { cause: error })
  }
}

const alreadyInitialised = (config: ServerConfig, cause?: unknown): PosternError =>
  new PosternError(
    'conflict',
    `there is a server in ${config.dataDir} already (master key ${config.masterKeyFile}); start it with \`postern server start\`, or choose another --data`,
    { cause },
  )

/** Makes the data directory, 0700. Returns the directories that were made, deepest first. */
async function makeDataDirectory(directory: string): Promise<string[]> {
  const first = await mkdir(directory, { recursive: true, mode: 0o700 })
  if (first !== undefined) {
    const made = [directory]
    while (made.at(-1) !== first) made.push(path.dirname(made.at(-1) ?? first))
    return made
  }
  // Closing an empty directory is what was meant; closing one that has other things in it could be /tmp.
  if ((await readdir(directory)).length === 0) await chmod(directory, 0o700)
  else if (((await stat(directory)).mode & 0o077) !== 0)
    throw new PosternError(
      'misconfigured',
      `dataDir: ${directory} has files in it and can be entered by others; choose another --data, or run \`chmod 700 ${directory}\``,
    )
  return []
}

/** The file is made here, exclusively and 0600, so that SQLite's own files beside it get the same mode. */
async function claimSqliteFile(config: ServerConfig, file: string, files: string[]): Promise<void> {
  await writeFile(file, '', { flag: 'wx', mode: 0o600 }).catch((cause: unknown) => {
    throw alreadyInitialised(config, cause)
  })
  files.push(file, `${file}-wal`, `${file}-shm`)
}

/** Where clients find the server: under a name that its certificate has. One that listens everywhere is reached at localhost from here. */
function reachableHost({ listen: { host }, serverNames }: ServerConfig): string {
  const here = host === '0.0.0.0' || host === '::' ? 'localhost' : host
  const name = serverNames.includes(here) ? here : (serverNames[0] ?? here)
  return name.includes(':') ? `[${name}]` : name
}
