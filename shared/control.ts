// The control stream's messages (C9): what the access server tells a signed-in client at once, as one JSON object a WebSocket
// text message. Written by server/control, read by client/control-stream. Contracts only grow: a client skips types that it does
// not know, and fields. Pure.
import { z } from 'zod'
import { PROTOCOL_VERSION } from './names.ts'

/** The path that is upgraded, on ALPN `postern-control` with the user certificate. */
export const CONTROL_PATH = '/v1/control'

/** Both sides ask every 30 s and hang up without an answer in 15 s (I3), in ms. */
export const CONTROL_PING_EVERY_MS = 30_000
export const CONTROL_ANSWER_WITHIN_MS = 15_000
/** A message longer than this is a broken or hostile peer, in bytes. */
export const CONTROL_MESSAGE_MAX_BYTES = 64 * 1024

const Time = z.iso.datetime()

/** Why a login ended, at its time or before; `ca`: the CA that it rested on was dropped. */
export const LOGIN_END_REASONS = ['logout', 'expired', 'disabled', 'removed', 'ca'] as const
export type LoginEndReason = (typeof LOGIN_END_REASONS)[number]

/** Close codes of the stream beside RFC 6455's own (1001: the server stops): the login behind it is over, and how. */
export const CONTROL_CLOSE = {
  logout: 4001,
  expired: 4002,
  disabled: 4003,
  removed: 4004,
  /** Another stream of the same login took its place. */
  replaced: 4005,
  ca: 4006,
} as const satisfies Record<LoginEndReason | 'replaced', number>

const message = <T extends string, S extends z.ZodRawShape>(type: T, shape: S) =>
  z.object({ v: z.number().int(), type: z.literal(type), ...shape })

export const ControlMessage = z.discriminatedUnion('type', [
  /** The first one. */
  message('hello', { serverTime: Time, version: z.string(), loginEndsAt: Time }),
  /** Just before the pong to each of the client's pings: with the time that took, the client knows how old it is (C6). */
  message('time', { serverTime: Time }),
  /** A session of this login was opened: whoever shows sessions asks again. */
  message('session.started', { sessionId: z.string(), resource: z.string(), account: z.string() }),
  /** A session of this login has its ended record. */
  message('session.ended', {
    sessionId: z.string(),
    resource: z.string(),
    account: z.string(),
    /** One of SESSION_END_REASONS, or one that came later. */
    reason: z.string().max(100),
    /** Who ended it, where a person did; older servers do not say it. */
    by: z.string().max(100).nullable().optional(),
    /** What the reason alone does not say: which limit, and whose. */
    why: z.string().max(500).nullable().optional(),
  }),
  /** Sessions of others began or ended, for a login that looks at everyone's: ask again. At most once a second. */
  message('sessions.changed', {}),
  /** The login is over, for one of LOGIN_END_REASONS or one that came later; the close code follows. */
  message('login.ended', { reason: z.string().max(100) }),
  /** Roles, grants or resources of this person changed: look again. */
  message('access.changed', {}),
  /** The CAs are rotated, or were: GET /v1/me says which to trust, and whether to have another certificate (C7). */
  message('cas.changed', {}),
  /** The person was disabled; the close code follows. */
  message('person.disabled', {}),
])
export type ControlMessage = z.infer<typeof ControlMessage>

/** A message without the version, which is added when it is written. */
export type ControlNews = ControlMessage extends infer M ? (M extends ControlMessage ? Omit<M, 'v'> : never) : never

export const encodeControlMessage = (news: ControlNews): string => JSON.stringify({ v: PROTOCOL_VERSION, ...news })

const Envelope = z.object({ v: z.number().int(), type: z.string() })
const KNOWN_TYPES: ReadonlySet<string> = new Set(ControlMessage.options.map(({ shape }) => shape.type.value))

/**
 * Reads one message.
 * @returns undefined for a type that this version does not know
 * @throws Error that says what is wrong, if it is none of ours at all
 */
export function parseControlMessage(text: string): ControlMessage | undefined {
  const json: unknown = JSON.parse(text)
  const { type } = Envelope.parse(json)
  return KNOWN_TYPES.has(type) ? ControlMessage.parse(json) : undefined
}
