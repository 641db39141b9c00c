// Why a session ends, and which of several causes wins (S1). Pure.
import { SESSION_END_REASONS, type SessionEndReason } from '../../shared/session-api.ts'

export type EndCause = {
  readonly reason: SessionEndReason
  /** The person who asked for it, if one did. */
  readonly by: string | null
  /** What the reason alone does not say, for its person and the log: which limit, for example. */
  readonly why: string | null
}

export const causeOf = (reason: SessionEndReason, more: { by?: string | undefined; why?: string } = {}): EndCause => ({
  reason,
  by: more.by ?? null,
  why: more.why ?? null,
})

/** Strongest first, as S1 lists them. Of two of the same reason the first stays. */
export const isStronger = (one: EndCause, other: EndCause): boolean =>
  SESSION_END_REASONS.indexOf(one.reason) < SESSION_END_REASONS.indexOf(other.reason)
