// What a permission level lets one do with sessions. The server decides; this is what is offered. Pure.
import type { PermissionLevel } from '../../../shared/api.ts'

/** Everyone's sessions are for viewers and up. */
export const maySeeEveryone = (level: PermissionLevel | null): boolean => level !== null && level !== 'none'

/** One's own for everybody, others' for administrators. */
export const mayEnd = (
  session: { user: string },
  who: { user: string | null; level: PermissionLevel | null },
): boolean => session.user === who.user || who.level === 'admin'
