// When a login gets a small window of its own: a page of a browser cannot raise itself, so a login that is asked of a page which
// nobody looks at is shown in a window that comes to the front (G10, G11). One window at a time, and none for a request that was
// seen in one: a person who closes it has the dialog in the page. Told by page.ts what its pages see, composed by host.ts. Knows
// no process.
import type { z } from 'zod'
import type { LoginPrompt } from '../../shared/rpc.ts'
import type { SHELL_EVENTS } from '../../shared/shell.ts'
import type { ShellHandlers } from '../page-gate.ts'

type LoginToTake = z.output<(typeof SHELL_EVENTS)['shell.takeLogin']>

/** A window whose page does not come within this time stands in no other one's way, in ms; it may still come. */
const ARRIVAL_DEADLINE_MS = 30_000
/** Windows that a request gets while none of them shows it: one may be closing when it is asked, and hear no more. */
const TRIES_MAX = 3
/** Requests that are remembered; older ones are over. */
const REMEMBERED_MAX = 200

export type LoginWindowOptions = {
  /** Opens the window; whether it came up. undefined where no window of ours can be opened. */
  open: () => Promise<boolean> | undefined
}

/** What a page says of itself and what it hears of logins. */
export type PageAttention = {
  readonly calls: Pick<ShellHandlers, 'shell.attention' | 'shell.loginWindow' | 'shell.loginShown'>
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
  /** Asked of a page that nobody looks at, and not shown in the window yet, whether that comes, stands or goes. */
  const unseen = new Map<string, { login: LoginToTake; askedOf: Page }>()
  /** Windows that were tried for a request; without end once it was shown. */
  const tries = new Map<string, number>()
  let window: Page | undefined
  let arrival: NodeJS.Timeout | undefined

  const noLongerOpening = (): void => {
    clearTimeout(arrival)
    arrival = undefined
  }

  const remember = (requestId: string, times: number): void => {
    tries.set(requestId, times)
    for (const oldest of tries.keys()) {
      if (tries.size <= REMEMBERED_MAX) return
      tries.delete(oldest)
    }
  }

  /** Whether the window is on its way, by this or before; false where no window of ours can be opened. */
  const isComing = (): boolean => {
    if (arrival !== undefined) return true
    const opening = open()
    if (opening === undefined) return false
    // What waits for it goes on waiting: a machine that slept, or is very busy, brings the window later.
    const deadline = setTimeout(noLongerOpening, ARRIVAL_DEADLINE_MS)
    arrival = deadline
    void opening.then((isOpen) => {
      if (isOpen || arrival !== deadline) return
      noLongerOpening()
      unseen.clear()
    })
    return true
  }

  const show = (login: LoginToTake, askedOf: Page): void => {
    const { requestId } = login
    const tried = tries.get(requestId) ?? 0
    if (unseen.has(requestId) || tried >= TRIES_MAX) return
    remember(requestId, tried + 1)
    if (window === undefined && !isComing()) return
    unseen.set(requestId, { login, askedOf })
    window?.(login)
  }

  const isLookedAt = (): boolean => [...focused].some((page) => page !== window)

  /** The window has gone: what it was told too late gets another one. What the core asked of it is asked of a page now. */
  const windowLeft = (): void => {
    window = undefined
    const late = [...unseen.values()]
    unseen.clear()
    if (!isLookedAt()) for (const { login, askedOf } of late) show(login, askedOf)
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
            return Promise.resolve({ logins: [...unseen.values()].map(({ login }) => login) })
          },
          'shell.loginShown': ({ requestId }) => {
            unseen.delete(requestId)
            remember(requestId, Infinity)
            return Promise.resolve({})
          },
        },
        requested({ requestId, profile }) {
          if (page !== window && !isLookedAt()) show({ requestId, profile }, page)
        },
        closed(requestId) {
          unseen.delete(requestId)
        },
        left() {
          focused.delete(page)
          // The core asks another page, if there is one.
          for (const [requestId, { askedOf }] of unseen) if (askedOf === page) unseen.delete(requestId)
          if (window === page) windowLeft()
        },
      }
    },
    close: noLongerOpening,
  }
}
