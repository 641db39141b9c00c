// The control streams of all profiles of a home: one for each whose login is good. Called by core.ts whenever a profile changes,
// when somebody comes back, and at the end.
import type { Logger } from 'pino'
import type { Profile } from '../profiles/profile.ts'
import { ProfileStream, type ProfileStreamOptions } from './profile-stream.ts'

export type ControlStreams = {
  /** Something of the profile has changed: starts, swaps or ends its stream. */
  look(profile: Profile): void
  /** Somebody is there again, or the machine woke up. */
  wake(): void
  /** The person logs out: from now on this login's end is no news. */
  leave(profile: Profile): void
  /** The profile is removed. */
  forget(profile: Profile): void
  close(): void
}

type Options = Omit<ProfileStreamOptions, 'profile' | 'log'> & { log: Logger }

export function createControlStreams({ log, ...options }: Options): ControlStreams {
  const streams = new Map<Profile, ProfileStream>()
  let isClosed = false

  const streamOf = (profile: Profile): ProfileStream => {
    const known = streams.get(profile)
    if (known) return known
    const stream = new ProfileStream({ ...options, profile, log: log.child({ profile: profile.name }) })
    streams.set(profile, stream)
    return stream
  }
  return {
    look(profile) {
      // One that never had a login needs no stream yet.
      if (!isClosed && (streams.has(profile) || profile.usableCertificate)) streamOf(profile).look()
    },
    wake() {
      for (const stream of streams.values()) stream.wake()
    },
    leave(profile) {
      streams.get(profile)?.leave()
    },
    forget(profile) {
      streams.get(profile)?.close()
      streams.delete(profile)
    },
    close() {
      isClosed = true
      for (const stream of streams.values()) stream.close()
    },
  }
}
