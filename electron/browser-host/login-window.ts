// When a login gets a small window of its own: a page of a browser cannot raise itself, so a login that is asked of a page which
// nobody looks at is shown in a window that comes to the front (G10, G11). One window at a time, one try for each request: a
// person who closes it has the dialog in the page. Told by page.ts what its pages see, composed by host.ts. Knows no process.
import type { z } from 'zod'
import type { LoginPrompt } from '../../shared/rpc.ts'
import type { SHELL_EVENTS } from '../../shared/shell.ts'
import type { ShellHandlers } from '../page-gate.ts'

type LoginToTake = z.output<(typeof SHELL_EVENTS)['shell.takeLogin']>

/** A window whose page does not come within this time will not come, in ms. */
const ARRIVAL_DEADLINE_MS = 30_000
/** Requests remembered as shown; older ones are over. */
const SHOWN_MAX = 200

export type LoginWindowOptions = {
  /** Opens the window; whether it came up. undefined where no window of ours can be opened. */
  open: () => Promise<boolean> | undefined
}

/** What a page says of itself and what it hears of logins. */
export type PageAttention = {
  readonly calls: Pick<ShellHandlers, 'shell.attention' | 'shell.loginWindow'>
  requested(prompt: LoginPrompt): void
  closed(requestId: string): void
  left(): void
}

/** How a page is told to take a login over. */
type Page = (login: LoginToTake) => void

export type LoginWindow = {
  /** @param takeLogin tells that page to take a login over */
  pageCame(takeLogin: Page): PageAttention
  close(): void
}

export function createLoginWindow({ open }: LoginWindowOptions): LoginWindow {
  const focused = new Set<Page>()
  /** Asked of pages that nobody looks at, and not taken over yet. */
  const waiting = new Map<string, LoginToTake>()
  /** Told to the window while it stands, and not taken over yet: it may be closing and hear no more. */
  const told = new Map<string, LoginToTake>()
  const shown = new Set<string>()
  let window: Page | undefined
  let arrival: NodeJS.Timeout | undefined

  const noLongerOpening = (): void => {
    clearTimeout(arrival)
    arrival = undefined
  }

  const giveUp = (): void => {
    noLongerOpening()
    waiting.clear()
  }

  const remember = (requestId: string): void => {
    shown.add(requestId)
    for (const oldest of shown) {
      if (shown.size <= SHOWN_MAX) return
      shown.delete(oldest)
    }
  }

  const show = (login: LoginToTake): void => {
    if (window !== undefined) {
      told.set(login.requestId, login)
      window(login)
      return
    }
    if (arrival === undefined) {
      const opening = open()
      if (opening === undefined) return
      arrival = setTimeout(giveUp, ARRIVAL_DEADLINE_MS)
      void opening.then((isOpen) => {
        if (!isOpen) giveUp()
      })
    }
    waiting.set(login.requestId, login)
  }

  const isLookedAt = (): boolean => [...focused].some((page) => page !== window)

  /** The window has gone: what it was told too late gets another one, once. */
  const windowLeft = (): void => {
    window = undefined
    const late = [...told.values()]
    told.clear()
    if (!isLookedAt()) late.forEach(show)
  }

  return {
    pageCame(page) {
      // Until it has said otherwise: whoever opens a page looks at it.
      focused.add(page)
      return {
        calls: {
          'shell.attention': ({ isFocused }) => {
            if (isFocused) focused.add(page)
            else focused.delete(page)
            return Promise.resolve({})
          },
          'shell.loginWindow': () => {
            // A second one has nothing to show.
            if (window !== undefined && window !== page) return Promise.resolve({ logins: [] })
            window = page
            noLongerOpening()
            const logins = [...waiting.values()]
            waiting.clear()
            return Promise.resolve({ logins })
          },
        },
        requested({ requestId, profile }) {
          if (page === window) told.delete(requestId)
          const isNew = !shown.has(requestId)
          if (isNew && page !== window && isLookedAt()) return
          remember(requestId)
          if (isNew && page !== window) show({ requestId, profile })
        },
        closed(requestId) {
          waiting.delete(requestId)
          told.delete(requestId)
        },
        left() {
          focused.delete(page)
          if (window === page) windowLeft()
        },
      }
    },
    close: noLongerOpening,
  }
}
