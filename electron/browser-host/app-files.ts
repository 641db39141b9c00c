// The built renderer, read whole into memory at the start: a request names one of these files or none, so there is no path
// to climb, and a build that runs meanwhile mixes no old page with new scripts. Used by serve.ts.
import { readdir, readFile } from 'node:fs/promises'
import { extname, join, relative, sep } from 'node:path'
import { PosternError } from '../../shared/errors.ts'

export type AppFile = { type: string; body: Buffer }
/** Path of the URL → file; "/" is the page itself. */
export type AppFiles = ReadonlyMap<string, AppFile>

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
}

/**
 * Reads the folder that the build made.
 * @throws PosternError `misconfigured` if there is no built app in it
 */
export async function readAppFiles(dir: string): Promise<AppFiles> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch((cause: unknown) => {
    throw notBuilt(dir, cause)
  })
  const files = new Map<string, AppFile>()
  for (const entry of entries) {
    // A file of another kind (a source map, say) is not the app's; links would lead elsewhere.
    const type = TYPES[extname(entry.name)]
    if (!entry.isFile() || type === undefined) continue
    const file = join(entry.parentPath, entry.name)
    files.set(`/${relative(dir, file).split(sep).join('/')}`, { type, body: await readFile(file) })
  }
  const index = files.get('/index.html')
  if (index === undefined) throw notBuilt(dir, undefined)
  return files.set('/', index)
}

const notBuilt = (dir: string, cause: unknown): PosternError =>
  new PosternError('misconfigured', `the app is not built: there is no index.html in ${dir}. Build it: npm run build`, {
    cause,
  })
