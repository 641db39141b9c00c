// How a login gets the person's attention: a request that this app was asked for raises the window (which decides nothing, G11) and
// gives the focus back afterwards; one that nobody could be asked for becomes one notification per profile (G10). Called by main.ts.
import type { BrowserWindow } from 'electron'
import type { EventPayload, LoginPrompt } from '../shared/rpc.ts'

/** A notification that can be taken back. */
export type ShownNotification = { close(): void }

export type AttentionOptions = {
  window: () => BrowserWindow | undefined
  /** Brings the window before the person, made anew if need be. */
  raise: () => void
  notify: (title: string, body: string, onClick: () => void) => ShownNotification
  /** The person clicked the notification. */
  onLoginClick: (prompt: LoginPrompt) => void
}

export type Attention = {
  requested(prompt: LoginPrompt): void
  needed(prompt: LoginPrompt): void
  closed(event: EventPayload<'login.closed'>): void
  /** The core has gone: nothing that it asked for is open any more. */
  reset(): void
}

type Before = 'none' | 'hidden' | 'minimized' | 'behind' | 'focused'

export function createAttention(options: AttentionOptions): Attention {
  const asked = new Set<string>()
  const notifications = new Map<string, ShownNotification>()
  let before: Before = 'focused'

  const forget = (profile: string): void => {
    notifications.get(profile)?.close()
    notifications.delete(profile)
  }

  return {
    requested(prompt) {
      if (asked.has(prompt.requestId)) return
      forget(prompt.profile)
      if (asked.size === 0) before = whereIs(options.window())
      asked.add(prompt.requestId)
      if (before === 'focused') return
      options.raise()
      // Where the system does not let a window come to the front by itself.
      options.window()?.flashFrame(true)
    },
    needed(prompt) {
      if (notifications.has(prompt.profile) || options.window()?.isFocused()) return
      const shown = options.notify(`${prompt.profile}: a login is needed`, needText(prompt), () => {
        forget(prompt.profile)
        options.onLoginClick(prompt)
      })
      notifications.set(prompt.profile, shown)
    },
    closed({ requestId, profile }) {
      forget(profile)
      if (!asked.delete(requestId) || asked.size > 0) return
      const window = options.window()
      window?.flashFrame(false)
      if (window) giveBack(window, before)
      before = 'focused'
    },
    reset() {
      asked.clear()
      for (const profile of [...notifications.keys()]) forget(profile)
    },
  }
}

function whereIs(window: BrowserWindow | undefined): Before {
  if (!window) return 'none'
  if (window.isMinimized()) return 'minimized'
  if (!window.isVisible()) return 'hidden'
  return window.isFocused() ? 'focused' : 'behind'
}

/** The person was elsewhere and goes on there; a window that was not there before stays, out of the way of the focus. */
function giveBack(window: BrowserWindow, before: Before): void {
  switch (before) {
    case 'minimized':
      window.minimize()
      return
    case 'hidden':
      window.hide()
      return
    case 'none':
    case 'behind':
      window.blur()
      return
    case 'focused':
      return
  }
}

function needText({ reason, waiting }: LoginPrompt): string {
  if (reason.kind === 'command') return `${reason.what} waits for it.`
  const who = reason.client ?? 'A connection'
  const others = waiting > 1 ? ` (${waiting} connections wait)` : ''
  return `${who} to ${reason.resource} as ${reason.account} waits for it${others}.`
}
