// What a page that is not there yet, or is being loaded again, must hear once it is: the open login requests, one link, one place to
// go. Filled and emptied by main.ts; pure.
import type { z } from 'zod'
import type { LoginPrompt } from '../shared/rpc.ts'
import type { SHELL_EVENTS, ShellEvent } from '../shared/shell.ts'
import type { PageLink } from './page-link.ts'

export type ShellEventPayload<E extends ShellEvent> = z.output<(typeof SHELL_EVENTS)[E]>

export type Missed = {
  requested(prompt: LoginPrompt): void
  updated(prompt: LoginPrompt): void
  closed(requestId: string): void
  /** The core has gone, and with it what it asked for. */
  reset(): void
  keep<E extends ShellEvent>(event: E, payload: ShellEventPayload<E>): void
  /** Sends it all; login requests stay until they are closed. */
  deliver(link: PageLink): void
}

export function createMissed(): Missed {
  const requests = new Map<string, LoginPrompt>()
  const kept = new Map<ShellEvent, unknown>()
  return {
    requested: (prompt) => void requests.set(prompt.requestId, prompt),
    updated(prompt) {
      if (requests.has(prompt.requestId)) requests.set(prompt.requestId, prompt)
    },
    closed: (requestId) => void requests.delete(requestId),
    reset: () => requests.clear(),
    keep: (event, payload) => void kept.set(event, payload),
    deliver(link) {
      for (const prompt of requests.values()) link.sendEvent('login.requested', prompt)
      for (const [event, payload] of kept) link.sendEvent(event, payload)
      kept.clear()
    },
  }
}
