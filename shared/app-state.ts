// What a window shows: one state, owned by the core (client/state), sent whole once and as patches afterwards, mirrored
// read-only in the renderer. Screens are projections of it. Pure.
import { z } from 'zod'
import { GatewayView, LoginPrompt, ProfileView } from './rpc.ts'

const Time = z.iso.datetime()

/** One accepted socket of a gateway. */
export const ConnectionView = z.object({
  id: z.string(),
  /** Application name that the client gave, if any. */
  client: z.string().nullable(),
  since: Time,
  /** `held` waits for a login. */
  state: z.enum(['connecting', 'held', 'open']),
  /** From the client to the target, and back; bytes. */
  bytesIn: z.number(),
  bytesOut: z.number(),
  /** When the client last sent something. */
  lastActiveAt: Time.nullable(),
})
export type ConnectionView = z.infer<typeof ConnectionView>

export const GatewayDetail = GatewayView.extend({
  openedAt: Time,
  connectTimeoutSeconds: z.number().int(),
  /** Since it was opened, over all its connections. */
  bytesIn: z.number(),
  bytesOut: z.number(),
  /** Bytes a second over the last second. */
  rateIn: z.number(),
  rateOut: z.number(),
  /** Dial to preamble of the last connection, in ms. */
  roundTripMs: z.number().nullable(),
  /** Living connections, newest first, at most 200; `connections` has their true number. */
  connectionList: z.array(ConnectionView),
})
export type GatewayDetail = z.infer<typeof GatewayDetail>

/** Something that the person may want to know later; equal ones are grouped (`count`). */
export const NoticeView = z.object({
  id: z.string(),
  level: z.enum(['info', 'warning', 'error']),
  text: z.string(),
  profile: z.string().nullable(),
  gateway: z.string().nullable(),
  count: z.number().int(),
  firstAt: Time,
  lastAt: Time,
  isRead: z.boolean(),
})
export type NoticeView = z.infer<typeof NoticeView>

/** HOME/settings.json as the settings screen has it; durations in ms. */
export const AppSettings = z.object({
  theme: z.enum(['system', 'light', 'dark']),
  /** Ports for new gateways; null: Postern chooses outside the system's ephemeral range. */
  portRange: z.object({ from: z.number().int(), to: z.number().int() }).nullable(),
  loginWait: z.number(),
  loginHardLimit: z.number(),
  coolDown: z.number(),
  /** The core lives on without any window or terminal. */
  backgroundMode: z.boolean(),
  startAtLogin: z.boolean(),
  /** Whether gateways ask for a password of their own where it was not said at opening; older cores have no such setting. */
  gatewayPassword: z.enum(['off', 'on']).optional(),
})
export type AppSettings = z.infer<typeof AppSettings>

/** A login that is asked for; `deadlineAt` is when those who wait get their error. */
export const LoginView = LoginPrompt.extend({
  requestedAt: Time,
  deadlineAt: Time.nullable(),
  /** The kind of host that shows the question now; null: nobody was asked yet. Older cores do not say it. */
  asked: z.enum(['terminal', 'window', 'page']).nullable().optional(),
  /** How far the login in the browser is, if one was begun; it survives a reload of the window, and all hosts see it. */
  ssoProgress: z
    .object({
      /** `browser`: the person is there; `returned`: back with an answer, which is being redeemed. */
      step: z.enum(['browser', 'returned', 'failed']),
      /** Why it failed. */
      text: z.string().nullable(),
      /** The link that starts it, on this machine only. */
      url: z.string(),
      since: Time,
      /** When the link ends, by this machine's clock. */
      expiresAt: Time,
    })
    .optional(),
})
export type LoginView = z.infer<typeof LoginView>

export const AppState = z.object({
  core: z.object({
    version: z.string(),
    pid: z.number().int(),
    home: z.string(),
    startedAt: Time,
    logFile: z.string(),
    platform: z.string(),
    /** How the keys of logins are stored by this core, said plainly; older cores do not say it. */
    keyProtection: z.string().optional(),
  }),
  profiles: z.record(z.string(), ProfileView),
  currentProfile: z.string().nullable(),
  gateways: z.record(z.string(), GatewayDetail),
  logins: z.record(z.string(), LoginView),
  notices: z.record(z.string(), NoticeView),
  settings: AppSettings,
})
export type AppState = z.infer<typeof AppState>

/** One change: the value at a path was replaced, or (no value) removed. Paths have one or two steps. */
export const StateChange = z.object({ path: z.array(z.string()).min(1).max(2), value: z.unknown().optional() })
export type StateChange = z.infer<typeof StateChange>

/** The state after the changes; parts that did not change stay the same objects, so that selectors can compare by identity. */
export function applyChanges(state: AppState, changes: readonly StateChange[]): AppState {
  let next: Record<string, unknown> = state
  for (const { path, value } of changes) {
    const [part = '', key] = path
    if (key === undefined) {
      next = { ...next, [part]: value }
      continue
    }
    const inner = { ...(next[part] as Record<string, unknown>) }
    if (value === undefined) Reflect.deleteProperty(inner, key)
    else inner[key] = value
    next = { ...next, [part]: inner }
  }
  return next as AppState
}

/** One step of a connection test, in the order in which they happen. */
export const ConnectionTest = z.object({
  ok: z.boolean(),
  totalMs: z.number(),
  steps: z.array(z.object({ name: z.string(), ok: z.boolean(), ms: z.number(), text: z.string().nullable() })),
})
export type ConnectionTest = z.infer<typeof ConnectionTest>

/** What one sends to support: no secrets, names and addresses replaced by stable stand-ins. */
export const Diagnostics = z.object({ id: z.string(), file: z.string(), text: z.string() })
export type Diagnostics = z.infer<typeof Diagnostics>
