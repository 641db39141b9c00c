// Why a session ends, and which of several causes wins (S1). Pure.
import { SESSION_END_REASONS, type SessionEndReason } from '../../shared/api.ts'

/** `by`: the person who asked for it, if one did. */
export type EndCause = { readonly reason: SessionEndReason; readonly by: string | null }

export const causeOf = (reason: SessionEndReason, by?: string): EndCause => ({ reason, by: by ?? null })

/** Strongest first, as S1 lists them. Of two of the same reason the first stays. */
export const isStronger = (one: EndCause, other: EndCause): boolean =>
  SESSION_END_REASONS.indexOf(one.reason) < SESSION_END_REASONS.indexOf(other.reason)
