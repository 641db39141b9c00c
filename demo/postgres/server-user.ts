// Which operating-system user PostgreSQL runs as (it refuses root), and whether that user can reach a folder at all.
// Called by startPostgres. Creates no users.
import { readFile, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { PosternError } from '../../shared/errors.ts'

/** A user to spawn the server as; `undefined` means: as oneself. */
export type ServerUser = { uid: number; gid: number }

/**
 * As root the existing `postgres` user, else `nobody`; otherwise oneself. A cluster that is there already keeps its owner.
 * @param clusterDir the data directory; it need not exist yet.
 * @throws PosternError `misconfigured` if root has neither user at hand.
 */
export async function chooseServerUser(
  clusterDir: string,
  ownUid = process.getuid?.() ?? -1,
  passwdFile = '/etc/passwd',
): Promise<ServerUser | undefined> {
  if (ownUid !== 0) return undefined
  const cluster = await stat(clusterDir).catch(() => undefined)
  if (cluster !== undefined && cluster.uid !== 0) return { uid: cluster.uid, gid: cluster.gid }
  const lines = (await readFile(passwdFile, 'utf8')).split('\n').map((line) => line.split(':'))
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = lines.find(([entry]) => entry === name) ?? []
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) }
  }
  throw new PosternError(
    'misconfigured',
    'PostgreSQL does not run as root, and this system has neither a "postgres" nor a "nobody" user: start it as an ordinary user',
  )
}

/** The first folder on the way to `path` (itself included) that the user cannot pass through, if there is one. */
export async function findUntraversable(path: string, user: ServerUser | undefined): Promise<string | undefined> {
  if (user === undefined) return undefined
  const folders: string[] = []
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    folders.unshift(folder)
    if (folder === dirname(folder)) break
  }
  for (const folder of folders) {
    const { uid, gid, mode } = await stat(folder)
    const executeBit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001
    if ((mode & executeBit) === 0) return folder
  }
  return undefined
}
