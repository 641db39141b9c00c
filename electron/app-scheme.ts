// The app's own scheme: serves the built renderer at app://postern/ and nothing else, under the strictest policy that the page
// can live with. Called for every request of the window; knows no Electron. Source: Electron's security checklist, items 7 and 18.
import { readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'

export const APP_SCHEME = 'app'
export const APP_ORIGIN = 'app://postern'
export const START_URL = `${APP_ORIGIN}/index.html`

/** `default-src 'none'` and then only what the page has itself. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "font-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ')

const HEADERS = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
}

/** Kinds of file that a renderer has; anything else is not served. */
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
}

/** Path segments of a built file; no dots at the start, so neither `..` nor hidden files. */
const SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/

/** Answers requests of the scheme from the files below `root`. Never rejects. */
export function serveRendererFrom(root: string): (request: { url: string; method: string }) => Promise<Response> {
  return async ({ url, method }) => {
    if (method !== 'GET') return refuse(405)
    const path = fileOf(url)
    if (path === undefined) return refuse(404)
    const type = CONTENT_TYPES[extname(path)]
    if (type === undefined) return refuse(404)
    try {
      const body = await readFile(join(root, path))
      return new Response(new Uint8Array(body), { headers: { ...HEADERS, 'content-type': type } })
    } catch {
      return refuse(404)
    }
  }
}

/** The relative path that an address names; undefined if it is not exactly an address of ours. */
function fileOf(url: string): string | undefined {
  const prefix = `${APP_ORIGIN}/`
  if (!url.startsWith(prefix)) return undefined
  const [path = ''] = url.slice(prefix.length).split(/[?#]/, 1)
  if (path === '') return 'index.html'
  const segments = path.split('/')
  return segments.every((segment) => SEGMENT.test(segment)) ? join(...segments) : undefined
}

const refuse = (status: number): Response =>
  new Response('', { status, headers: { ...HEADERS, 'content-type': 'text/plain' } })
