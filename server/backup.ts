// `postern server backup`: a whole copy of the SQLite store as it is at one moment, while the server runs. Called by main.ts.
import { existsSync } from 'node:fs'
import { chmod, rm, writeFile } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { PosternError } from '../shared/errors.ts'
import type { ServerConfig } from './config.ts'

/** How long it waits for a writer, in ms. */
const BUSY_TIMEOUT_MS = 10_000

/**
 * Writes the copy, 0600, and checks it. The master key is not in it, and without that key its secrets cannot be read.
 * @throws PosternError `conflict` if the file exists, `unsupported` for a PostgreSQL store, `misconfigured` if it cannot be made
 */
export async function backUp(config: Pick<ServerConfig, 'store' | 'dataDir'>, to: string): Promise<void> {
  if (config.store.kind !== 'sqlite')
    throw new PosternError('unsupported', 'the store is PostgreSQL: back it up with pg_dump, as any other database')
  const { file } = config.store
  if (!existsSync(file))
    throw new PosternError('misconfigured', `there is no store in ${config.dataDir}: name the right --data or --config`)
  try {
    // Made here, exclusively and closed to others: VACUUM INTO fills an empty file.
    await writeFile(to, '', { flag: 'wx', mode: 0o600 })
    await chmod(to, 0o600)
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST')
      throw new PosternError('conflict', `${to} is there already, and a backup overwrites nothing`, { cause })
    throw new PosternError('misconfigured', `${to} cannot be written`, { cause })
  }
  try {
    using source = new DatabaseSync(file, { readOnly: true, timeout: BUSY_TIMEOUT_MS })
    source.prepare('VACUUM INTO ?').run(to)
    using copy = new DatabaseSync(to, { readOnly: true })
    const [row] = copy.prepare('PRAGMA integrity_check').all()
    if (row?.['integrity_check'] !== 'ok') throw new Error(`integrity check: ${JSON.stringify(row)}`)
  } catch (cause) {
    await rm(to, { force: true })
    throw new PosternError('misconfigured', `the store ${file} cannot be copied to ${to}`, { cause })
  }
}
