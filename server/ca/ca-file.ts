// The certificate of the server CA that signs, as a file in the data directory, for `postern login --ca` and other programs.
// Written by init, and by start and a rotation when another CA signs. Public: it holds no key.
import { readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'

export const caFileOf = (dataDir: string): string => path.join(dataDir, 'ca.pem')

/** Replaces the file in one step, if it does not say the same already. */
export async function writeCaFile(dataDir: string, pem: string): Promise<void> {
  const file = caFileOf(dataDir)
  if ((await readFile(file, 'utf8').catch(() => undefined)) === pem) return
  await writeFile(`${file}.new`, pem)
  await rename(`${file}.new`, file)
}
