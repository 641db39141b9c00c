// A store on SQLite in a fresh directory, for tests of the server's parts.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStore, type Store } from '../../server/store/store.ts'

/** Opens it; `close` removes the directory too. */
export async function freshStore(): Promise<Store & { directory: string; file: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'postern-store-'))
  const file = join(directory, 'store.sqlite')
  const store = await openStore({ kind: 'sqlite', file })
  return {
    ...store,
    directory,
    file,
    close: async () => {
      await store.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
