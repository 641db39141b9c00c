// What the browser host answers besides the app's own files: headers, the launch page, refusals for people, redirect files.
// Used by serve.ts. Pure.
import type { Refusal } from './guard.ts'

type Headers = Record<string, string>

/** The policy of the app's pages: nothing but its own files, and its own WebSocket, which older browsers do not count as 'self'. */
export const pagePolicy = (authority: string): string =>
  [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "font-src 'self'",
    "img-src 'self' data:",
    `connect-src 'self' ws://${authority}`,
    "form-action 'none'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ')

const NOTHING_ALLOWED = "default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"

/** On every answer. */
export const securityHeaders = (policy: string = NOTHING_ALLOWED): Headers => ({
  'content-security-policy': policy,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'clipboard-write=(self), camera=(), microphone=(), geolocation=(), payment=(), usb=()',
})

export type Answer = { status: number; headers: Headers; body: string | Buffer }

const HTML = 'text/html; charset=utf-8'

/**
 * The page that a token leads to. It answers 200 and goes on by itself: after a redirect from a `file:` page Chromium keeps
 * a Strict cookie back, after a navigation of our own page it sends it; and the token leaves the address bar and history.
 * `path` is the host's own, never a visitor's.
 */
export const launchPage = (cookie: string, path: string, nonce: string): Answer => ({
  status: 200,
  headers: {
    ...securityHeaders(`${NOTHING_ALLOWED}; script-src 'nonce-${nonce}'`),
    'content-type': HTML,
    'set-cookie': cookie,
  },
  body: page('Postern', `<script nonce="${nonce}">location.replace(${JSON.stringify(path)})</script>`),
})

/** A refusal that a person can read in the browser. */
export const refusalPage = ({ status, text }: Refusal): Answer => ({
  status,
  headers: { ...securityHeaders(), 'content-type': HTML },
  body: page('Postern', `<h1>Postern</h1><p>${escapeHtml(text)}</p>`),
})

export const jsonAnswer = (value: unknown): Answer => ({
  status: 200,
  headers: { ...securityHeaders(), 'content-type': 'application/json' },
  body: JSON.stringify(value),
})

/** The file that leads a browser to `url` without naming it on a command line, which everybody on the machine can read. */
export const redirectFile = (url: string): string =>
  page(
    'Postern',
    `<script>location.replace(${JSON.stringify(url)})</script><noscript><a href="${escapeHtml(url)}">Open Postern</a></noscript>`,
  )

const page = (title: string, body: string): string =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">` +
  `<meta name="referrer" content="no-referrer"><title>${title}</title></head><body>${body}</body></html>\n`

const escapeHtml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
