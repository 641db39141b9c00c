// The browser host's decision about its window for logins, without a browser: when one is opened, what it is given, and when not.
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createLoginWindow, type LoginWindow } from '../../electron/browser-host/login-window.ts'
import type { LoginPrompt } from '../../shared/rpc.ts'

const prompt = (requestId: string): LoginPrompt => ({
  requestId,
  profile: 'demo',
  user: 'alice',
  reason: { kind: 'command', what: 'a test' },
  waiting: 1,
  totp: false,
})

/** A login window whose opening is counted; `canOpen` false: no window of ours is there. */
function make(canOpen = true) {
  const opened: ((isOpen: boolean) => void)[] = []
  const open = () => (canOpen ? new Promise<boolean>((resolve) => void opened.push(resolve)) : undefined)
  return { windows: createLoginWindow({ open }), opened }
}

function page(windows: LoginWindow, isFocused: boolean, told: 'only hears' | 'takes over at once' = 'only hears') {
  const taken: string[] = []
  const attention = windows.pageCame(({ requestId }) => {
    taken.push(requestId)
    if (told === 'takes over at once') attention.requested(prompt(requestId))
  })
  void attention.calls['shell.attention']({ isFocused })
  return { ...attention, taken, show: () => attention.calls['shell.loginWindow']({}) }
}

afterEach(() => void vi.useRealTimers())

describe('the small window', () => {
  it('G10 G11: opens once for requests of pages that nobody looks at, takes what waits, and later ones too', async () => {
    const { windows, opened } = make()
    const main = page(windows, false)
    main.requested(prompt('a'))
    main.requested(prompt('b'))
    main.requested(prompt('a'))
    expect(opened).toHaveLength(1)
    main.closed('b')
    const small = page(windows, true)
    expect(await small.show()).toEqual({ logins: [{ requestId: 'a', profile: 'demo' }] })
    main.requested(prompt('c'))
    expect(small.taken).toEqual(['c'])
    small.requested(prompt('c'))
    expect(opened).toHaveLength(1)
    // Closed by hand: the page is asked again, and that is no reason for another window.
    small.left()
    main.requested(prompt('a'))
    expect(opened).toHaveLength(1)
    main.requested(prompt('d'))
    expect(opened).toHaveLength(2)
    windows.close()
  })

  it('G10 G11: told to a window that is closing and hears no more, a login gets another one, once', async () => {
    const { windows, opened } = make()
    const main = page(windows, false)
    main.requested(prompt('a'))
    const first = page(windows, true)
    await first.show()
    first.requested(prompt('a'))
    main.closed('a')
    first.closed('a')
    main.requested(prompt('b'))
    first.left()
    expect(opened).toHaveLength(2)
    const second = page(windows, true)
    expect(await second.show()).toEqual({ logins: [{ requestId: 'b', profile: 'demo' }] })
    second.left()
    expect(opened).toHaveLength(2)
    // What was told too late and is over, or is asked where somebody looks now, needs no window.
    main.requested(prompt('c'))
    const third = page(windows, true)
    await third.show()
    main.requested(prompt('d'))
    main.closed('d')
    main.requested(prompt('e'))
    await main.calls['shell.attention']({ isFocused: true })
    third.left()
    expect(opened).toHaveLength(3)
    windows.close()
  })

  it('G10: does not open where somebody looks at a page, or where no window of ours is there', () => {
    const looked = make()
    const main = page(looked.windows, false)
    const other = page(looked.windows, true)
    main.requested(prompt('a'))
    other.requested(prompt('b'))
    expect(looked.opened).toHaveLength(0)
    other.left()
    main.requested(prompt('c'))
    expect(looked.opened).toHaveLength(1)
    looked.windows.close()
    const without = make(false)
    page(without.windows, false).requested(prompt('a'))
    expect(without.opened).toHaveLength(0)
  })

  it('G10: a window that does not come up, or never comes, is given up; the next login tries again', async () => {
    vi.useFakeTimers()
    const { windows, opened } = make()
    const main = page(windows, false)
    main.requested(prompt('a'))
    opened[0]?.(false)
    await vi.advanceTimersByTimeAsync(0)
    main.requested(prompt('b'))
    expect(opened).toHaveLength(2)
    opened[1]?.(true)
    await vi.advanceTimersByTimeAsync(30_000)
    main.requested(prompt('c'))
    expect(opened).toHaveLength(3)
    // It comes for what waits now, not for what was given up.
    expect(await page(windows, true).show()).toEqual({ logins: [{ requestId: 'c', profile: 'demo' }] })
    windows.close()
  })

  it('G10: whatever pages do, there is never a second window, and no request is shown twice', async () => {
    const step = fc.record({
      what: fc.constantFrom('requested', 'closed', 'focus', 'blur', 'show', 'left'),
      who: fc.nat(2),
      request: fc.constantFrom('a', 'b', 'c'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const { windows, opened } = make()
        const pages = [0, 1, 2].map(() => page(windows, false, 'takes over at once'))
        const given: string[] = []
        let unanswered = 0
        for (const { what, who, request } of steps) {
          const one = pages[who] ?? page(windows, false)
          const before = opened.length
          if (what === 'requested') one.requested(prompt(request))
          else if (what === 'closed') one.closed(request)
          else if (what === 'focus' || what === 'blur')
            await one.calls['shell.attention']({ isFocused: what === 'focus' })
          else if (what === 'left') one.left()
          else {
            given.push(...(await one.show()).logins.map(({ requestId }) => requestId))
            unanswered = 0
          }
          unanswered += opened.length - before
          expect(unanswered).toBeLessThanOrEqual(1)
        }
        given.push(...pages.flatMap(({ taken }) => taken))
        expect(new Set(given).size).toBe(given.length)
        windows.close()
      }),
    )
  })
})
