// The contract between a page and the shell that shows it (Electron's main process, or the browser host): what the shell can do
// beyond the core, how the page's messages travel, and which of the core's calls a page may make. Checked on both sides. Pure.
import { z } from 'zod'
import { PasswordRequest, TotpConfirmRequest, TotpStartRequest } from './login-api.ts'
import type { Method } from './rpc.ts'

/** Calls of the core that a page may make; everything else is refused by the shell before the core sees it (D1). */
export const PAGE_METHODS = [
  'state.subscribe',
  'profile.list',
  'profile.add',
  'profile.select',
  'profile.remove',
  'login.submit',
  'login.sso',
  'login.touch',
  'login.cancel',
  'login.ask',
  'logout',
  'resource.list',
  'gateway.open',
  'gateway.update',
  'gateway.test',
  'gateway.close',
  'notice.read',
  'notice.clear',
  'settings.update',
  'diagnostics.bundle',
  'sessions.watch',
  'sessions.unwatch',
  'sessions.end',
  'sessions.statements',
  'api.call',
] as const satisfies readonly Method[]
export type PageMethod = (typeof PAGE_METHODS)[number]

/** What a page may ask of the server itself by `api.call`, always by POST: path → body. Everything else of its API is not a page's. */
export const PAGE_API_CALLS = {
  '/v1/account/totp': TotpStartRequest,
  '/v1/account/totp/confirm': TotpConfirmRequest,
  '/v1/account/password': PasswordRequest,
} as const
export type PageApiPath = keyof typeof PAGE_API_CALLS

/** A login request that waits for the small window. */
const LoginToTake = z.object({ profile: z.string(), requestId: z.string() })

export const SHELL_CALLS = {
  /** What this shell is, for the about page and for what it cannot do. */
  'shell.describe': {
    params: z.object({}),
    result: z.object({
      kind: z.enum(['electron', 'browser']),
      version: z.string(),
      versions: z.record(z.string(), z.string()),
      /** How the user key is protected here, said plainly. */
      keyProtection: z.string(),
      canStartAtLogin: z.boolean(),
      canNotify: z.boolean(),
    }),
  },
  'shell.copy': { params: z.object({ text: z.string().max(100_000) }), result: z.object({}) },
  /** https only. */
  'shell.openExternal': { params: z.object({ url: z.url({ protocol: /^https$/ }).max(2000) }), result: z.object({}) },
  /** Shows the core's log folder in the file manager; only that one. */
  'shell.showLogs': { params: z.object({}), result: z.object({ shown: z.boolean() }) },
  /** Browser host: whether the person looks at this page now, told on every change. */
  'shell.attention': { params: z.object({ isFocused: z.boolean() }), result: z.object({}) },
  /**
   * Browser host: this page is the small window for logins (`#/login`). What it is to show: open requests that it takes over
   * with `login.ask`; with none it closes itself.
   */
  'shell.loginWindow': { params: z.object({}), result: z.object({ logins: z.array(LoginToTake) }) },
  /** Browser host: the small window shows this request, and is not about to close. It needs no other window from now on. */
  'shell.loginShown': { params: z.object({ requestId: z.string().max(200) }), result: z.object({}) },
} as const
export type ShellMethod = keyof typeof SHELL_CALLS
export type ShellParams<M extends ShellMethod> = z.input<(typeof SHELL_CALLS)[M]['params']>
export type ShellResult<M extends ShellMethod> = z.output<(typeof SHELL_CALLS)[M]['result']>

/** Events of the shell to its page, beside the core's. */
export const SHELL_EVENTS = {
  /** From the tray, a notification or a confirmed deep link. */
  'shell.navigate': z.object({
    to: z.enum(['resources', 'gateways', 'notices', 'settings', 'about', 'login']),
    gateway: z.string().nullable(),
  }),
  /** A deep link `postern://gateway/PROFILE/RESOURCE[/ACCOUNT]` that the person has to confirm before anything happens. */
  'shell.confirmLink': z.object({ profile: z.string(), resource: z.string(), account: z.string().nullable() }),
  /** The core went away or came back; the shell starts it again by itself. */
  'shell.coreState': z.object({ state: z.enum(['connected', 'restarting', 'failed']), text: z.string().nullable() }),
  /** To the small window for logins: one more came. */
  'shell.takeLogin': LoginToTake,
} as const
export type ShellEvent = keyof typeof SHELL_EVENTS

/** One message from the page: a call with an id of the page's own. */
export const PageMessage = z.strictObject({
  id: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER),
  method: z.enum([...PAGE_METHODS, ...(Object.keys(SHELL_CALLS) as ShellMethod[])]),
  params: z.unknown(),
})
/** Bytes of JSON of one message from a page. */
export const PAGE_MESSAGE_MAX_BYTES = 256 * 1024

/** What the preload exposes as `window.postern`, and what the browser host's page builds on its WebSocket. Messages are CoreMessage. */
export interface PageTransport {
  send(message: unknown): void
  onMessage(listener: (message: unknown) => void): () => void
  /** Connection to the shell; the WebSocket comes and goes, Electron's IPC does not. */
  onState(listener: (state: 'open' | 'closed') => void): () => void
}
