// Tells the core whether anybody is there: locked and suspended machines are not asked to log in (G10). Called by main.ts. Electron
// tells of locking on macOS and Windows only; on Linux it tells of suspend and resume, and a locked screen counts as present.
import type { Params } from '../shared/rpc.ts'

export type Presence = Params<'presence.set'>['presence']

/** The part of Electron's powerMonitor that is used. */
export type PowerEvents = {
  on(event: 'lock-screen' | 'unlock-screen' | 'suspend' | 'resume', listener: () => void): unknown
}

/** Follows the system; `tell` is called on every change. Returns what holds now, for a core that comes later. */
export function followPresence(power: PowerEvents, tell: (presence: Presence) => void): () => Presence {
  let isLocked = false
  let isSuspended = false
  // A machine that wakes up locked is still locked.
  const now = (): Presence => (isSuspended ? 'suspended' : isLocked ? 'locked' : 'present')
  let told = now()
  const look = (): void => {
    if (now() === told) return
    told = now()
    tell(told)
  }
  power.on('lock-screen', () => {
    isLocked = true
    look()
  })
  power.on('unlock-screen', () => {
    isLocked = false
    // Nobody unlocks a machine that sleeps, whatever the order of the events.
    isSuspended = false
    look()
  })
  power.on('suspend', () => {
    isSuspended = true
    look()
  })
  power.on('resume', () => {
    isSuspended = false
    look()
  })
  return now
}
