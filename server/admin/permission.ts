// The one rule for permission levels of the server's own API (W1): viewer < editor < admin. Called by the web API for
// every endpoint, and for each document of an apply.
import type { AdminDocument } from '../../shared/admin-api.ts'
import { PERMISSION_LEVELS, type PermissionLevel } from '../../shared/api.ts'
import { PosternError } from '../../shared/errors.ts'

export const hasLevel = (actual: PermissionLevel, needed: PermissionLevel): boolean =>
  PERMISSION_LEVELS.indexOf(actual) >= PERMISSION_LEVELS.indexOf(needed)

/** @throws PosternError `forbidden`, naming who lacks which level for what */
export function requireLevel(
  actor: { user: string; level: PermissionLevel },
  needed: PermissionLevel,
  what: string,
): void {
  if (hasLevel(actor.level, needed)) return
  throw new PosternError('forbidden', `${what} needs the permission level ${needed}; ${actor.user} has ${actor.level}`)
}

/** Who may write what: editors what can be reached, admins who people are and what they are granted. */
export const LEVEL_TO_WRITE: Record<AdminDocument['kind'], PermissionLevel> = {
  resource: 'editor',
  role: 'editor',
  user: 'admin',
  grant: 'admin',
}
