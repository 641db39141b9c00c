// Limits failed proofs of identity per person and per address, in memory, over a sliding minute. Called before every
// password, code or setup-code check. Attempts count from their beginning, so that many at once cannot slip through.
import { PosternError } from '../../shared/errors.ts'
import type { Clock } from '../seams.ts'

const WINDOW_MS = 60_000
/** Keys kept before stale ones are swept out. */
const SWEEP_AT = 10_000

export type LoginLimits = { perUserPerMinute: number; perAddressPerMinute: number }

export interface RateLimit {
  /**
   * Runs a check of who someone is. It counts as a failure unless it resolves, or rejects with something that is no
   * wrong proof (`totp_required` comes after a right password).
   * @throws PosternError `rate_limited` without running it; detail `{retryAfterSeconds}`
   */
  attempt<T>(user: string | undefined, address: string, check: () => Promise<T>): Promise<T>
  /**
   * Counts something that anybody may do but not without end, whatever becomes of it.
   * @throws PosternError `rate_limited`
   */
  count(address: string): void
}

/** Codes that mean that a secret was guessed wrong. */
const WRONG_PROOF = new Set(['bad_credentials', 'totp_invalid', 'setup_code_invalid', 'sso_failed'])

export function createRateLimit(limits: LoginLimits, now: Clock): RateLimit {
  const byUser = new Map<string, number[]>()
  const byAddress = new Map<string, number[]>()
  const counted = new Map<string, number[]>()

  const recent = (times: Map<string, number[]>, key: string): number[] => {
    const fresh = (times.get(key) ?? []).filter((time) => time > now().getTime() - WINDOW_MS)
    if (fresh.length === 0) times.delete(key)
    else times.set(key, fresh)
    return fresh
  }
  const waitMs = (times: Map<string, number[]>, key: string, limit: number): number => {
    const fresh = recent(times, key)
    // The attempt that must leave the window before there is room for another one.
    const blocking = fresh[fresh.length - limit]
    return blocking === undefined ? 0 : blocking + WINDOW_MS - now().getTime()
  }
  const add = (times: Map<string, number[]>, key: string, time: number): (() => void) => {
    if (times.size >= SWEEP_AT) for (const known of [...times.keys()]) recent(times, known)
    times.set(key, [...(times.get(key) ?? []), time])
    return () => {
      const left = times.get(key) ?? []
      const index = left.indexOf(time)
      if (index >= 0) times.set(key, left.toSpliced(index, 1))
    }
  }

  const refuseFor = (wait: number, attempts: string): void => {
    if (wait <= 0) return
    const retryAfterSeconds = Math.ceil(wait / 1000)
    throw new PosternError('rate_limited', `too many ${attempts}; try again in ${retryAfterSeconds} s`, {
      detail: { retryAfterSeconds },
    })
  }

  return {
    count(address) {
      refuseFor(waitMs(counted, address, limits.perAddressPerMinute), 'attempts')
      add(counted, address, now().getTime())
    },
    async attempt(user, address, check) {
      const wait = Math.max(
        waitMs(byAddress, address, limits.perAddressPerMinute),
        user === undefined ? 0 : waitMs(byUser, user, limits.perUserPerMinute),
      )
      refuseFor(wait, 'failed attempts')
      const time = now().getTime()
      const takeBack = [add(byAddress, address, time), ...(user === undefined ? [] : [add(byUser, user, time)])]
      try {
        const result = await check()
        for (const undo of takeBack) undo()
        return result
      } catch (error) {
        if (!(error instanceof PosternError && WRONG_PROOF.has(error.code))) for (const undo of takeBack) undo()
        throw error
      }
    },
  }
}
