// Says once that the login behind a gateway is about to run out, and how to log in early (G14). Looks when something happens and
// when the end comes near, never at an interval: each look halves what is left. Used by `gateway open`.
import { formatDuration } from '../shared/duration.ts'
import type { ProfileView } from '../shared/rpc.ts'
import type { Core } from './context.ts'

/** No login is `expiring` earlier than this before its end (client/profiles/profile-state.ts), in ms. */
const EXPIRING_MAX_MS = 10 * 60_000
/** The shortest pause between two looks, in ms. */
const LOOK_MIN_MS = 1000

export type EndWarning = { text: string; command: string; expiresAt: string | null }

/** The line that logs in early, for a login that is about to run out; undefined while there is time, or none is left. */
export function endWarningOf({
  profile,
  state,
  address,
  user,
  remainingMs,
  expiresAt,
}: ProfileView): EndWarning | undefined {
  if (state !== 'expiring' || remainingMs === null || user === null) return undefined
  const command = `postern login ${address} --user ${user}`
  const left = formatDuration(remainingMs)
  return { text: `The login to ${profile} ends in ${left}. Log in early: ${command}`, command, expiresAt }
}

export type EndWatch = {
  /** Something happened: there may be another login now. */
  look(): void
  stop(): void
}

/** Watches the login of a profile; `say` is called once for each login. */
export function warnBeforeEnd(core: Core, profile: string, say: (warning: EndWarning) => void): EndWatch {
  let timer: NodeJS.Timeout | undefined
  let said: string | null = null
  let isOver = false

  const look = async (): Promise<void> => {
    clearTimeout(timer)
    const { profiles } = await core.call('profile.list', {})
    const view = profiles.find((one) => one.profile === profile)
    if (isOver || !view) return
    const warning = endWarningOf(view)
    if (warning && warning.expiresAt !== said) {
      said = warning.expiresAt
      say(warning)
    }
    const leftMs = view.remainingMs ?? 0
    // Said, or over: the next login is told by an event.
    if (warning || leftMs <= 0) return
    clearTimeout(timer)
    timer = setTimeout(
      lookQuietly,
      Math.max(LOOK_MIN_MS, leftMs > EXPIRING_MAX_MS ? leftMs - EXPIRING_MAX_MS : leftMs / 2),
    )
    timer.unref()
  }
  // A core that has gone is noticed by the gateway itself.
  const lookQuietly = (): void => void look().catch(() => undefined)

  return {
    look: lookQuietly,
    stop() {
      isOver = true
      clearTimeout(timer)
    },
  }
}
