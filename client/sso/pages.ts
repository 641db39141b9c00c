// The few pages that a person's browser sees of a login: plain, small, under a policy that lets them load nothing. Used by
// door.ts. Pure. Everything that comes from outside is escaped here.

/** What a page says: a heading and a sentence or two. */
export type Page = { status: number; title: string; lines: readonly string[]; isGood: boolean }

export const successPage = (cluster: string): Page => ({
  status: 200,
  title: `You are logged in to ${cluster}`,
  lines: ['Go back to what you were doing. You can close this page.'],
  isGood: true,
})

export const failurePage = (why: string, status = 403): Page => ({
  status,
  title: 'You are not logged in',
  lines: [why, 'Go back to Postern and start the login again.'],
  isGood: false,
})

export const refusalPage = (status: number, why: string): Page => ({
  status,
  title: 'Postern',
  lines: [why],
  isGood: false,
})

/** Inline, since the policy allows this one style by its place in our own answer (nonce) and nothing else. */
const STYLE = `
:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}
body{margin:0;min-height:100vh;display:grid;place-items:center;background:Canvas;color:CanvasText}
main{max-width:26rem;padding:2rem;border:1px solid GrayText;border-radius:10px;margin:1rem;overflow-wrap:anywhere}
h1{font-size:1.2rem;margin:0 0 .5rem}
p{margin:.4rem 0 0}
.mark{font-size:1.6rem;line-height:1;margin:0 0 .75rem}
`

/** @param nonce of the policy, for the style */
export const htmlOf = ({ title, lines, isGood, status }: Page, nonce: string): string => {
  const mark = isGood ? '✓' : status === 200 ? '' : '✕'
  return (
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)}</title>` +
    `<meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer">` +
    `<style nonce="${nonce}">${STYLE}</style></head><body><main>` +
    `<p class="mark" aria-hidden="true">${mark}</p><h1>${escapeHtml(title)}</h1>` +
    `${lines.map((line) => `<p>${escapeHtml(line)}</p>`).join('')}</main></body></html>\n`
  )
}

export const headersOf = (nonce: string): Record<string, string> => ({
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': `default-src 'none'; style-src 'nonce-${nonce}'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'`,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
})

const escapeHtml = (text: string): string =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
