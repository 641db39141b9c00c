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

function page(windows: LoginWindow, isFocused: boolean) {
  const taken: string[] = []
  const attention = windows.pageCame(({ requestId }) => taken.push(requestId))
  void attention.calls['shell.attention']({ isFocused })
  return {
    ...attention,
    taken,
    comes: () => attention.calls['shell.loginWindow']({}),
    shows: (requestId: string) => attention.calls['shell.loginShown']({ requestId }),
  }
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
    expect(await small.comes()).toEqual({ logins: [{ requestId: 'a', profile: 'demo' }] })
    await small.shows('a')
    main.requested(prompt('c'))
    expect(small.taken).toEqual(['c'])
    small.requested(prompt('c'))
    await small.shows('c')
    expect(opened).toHaveLength(1)
    // Closed by hand: the page is asked again, and that is no reason for another window.
    small.left()
    main.requested(prompt('a'))
    main.requested(prompt('c'))
    expect(opened).toHaveLength(1)
    main.requested(prompt('d'))
    expect(opened).toHaveLength(2)
    windows.close()
  })

  it('G10 G11: told to a window that is closing and hears no more, a login gets another one', async () => {
    const { windows, opened } = make()
    const main = page(windows, false)
    main.requested(prompt('a'))
    const first = page(windows, true)
    await first.comes()
    await first.shows('a')
    main.closed('a')
    first.closed('a')
    main.requested(prompt('b'))
    first.left()
    expect(opened).toHaveLength(2)
    const second = page(windows, true)
    expect(await second.comes()).toEqual({ logins: [{ requestId: 'b', profile: 'demo' }] })
    await second.shows('b')
    second.left()
    expect(opened).toHaveLength(2)
    // What was told too late and is over, or is asked where somebody looks now, needs no window.
    main.requested(prompt('c'))
    const third = page(windows, true)
    await third.comes()
    await third.shows('c')
    main.requested(prompt('d'))
    main.closed('d')
    main.requested(prompt('e'))
    await main.calls['shell.attention']({ isFocused: true })
    third.left()
    expect(opened).toHaveLength(3)
    windows.close()
  })

  it('G10 G11: asked by the core of a window that is closing, or taken by it too late, a login gets another one', async () => {
    const { windows, opened } = make()
    const main = page(windows, false)
    main.requested(prompt('a'))
    const first = page(windows, true)
    await first.comes()
    await first.shows('a')
    first.closed('a')
    // The window came last, so the core asks it first; it went before it could show anything.
    first.requested(prompt('b'))
    first.left()
    main.requested(prompt('b'))
    expect(opened).toHaveLength(2)
    // Taken over, so that it is over for the page; and then the window is gone all the same.
    const second = page(windows, true)
    await second.comes()
    main.closed('b')
    second.requested(prompt('b'))
    second.left()
    main.requested(prompt('b'))
    expect(opened).toHaveLength(3)
    windows.close()
  })

  it('G10: a window that never shows a login is not tried without end', async () => {
    const { windows, opened } = make()
    const main = page(windows, false)
    for (let times = 0; times < 10; times++) {
      main.requested(prompt('a'))
      const small = page(windows, false)
      await small.comes()
      small.left()
    }
    expect(opened).toHaveLength(3)
    windows.close()
  })

  it('G10: what a page that went was asked needs no window any more', async () => {
    const { windows, opened } = make()
    const main = page(windows, false)
    main.requested(prompt('a'))
    const small = page(windows, true)
    main.left()
    expect(await small.comes()).toEqual({ logins: [] })
    small.left()
    expect(opened).toHaveLength(1)
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

  it('G10: a window that does not come up is given up, one that is late shows what waits; the next login tries again', async () => {
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
    // The late one shows what still waits; the other one finds that there is nothing for it.
    const late = await page(windows, true).comes()
    expect(late.logins.map(({ requestId }) => requestId)).toEqual(['b', 'c'])
    expect(await page(windows, true).comes()).toEqual({ logins: [] })
    windows.close()
  })

  it('G10: whatever pages do, there is never a second window, and nothing is shown again that was seen', async () => {
    const step = fc.record({
      what: fc.constantFrom('requested', 'closed', 'focus', 'blur', 'comes', 'shows', 'left'),
      who: fc.nat(2),
      request: fc.constantFrom('a', 'b', 'c'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { windows, opened } = make()
        const pages = [0, 1, 2].map(() => page(windows, false))
        const seen = new Set<string>()
        const taken = () => pages.flatMap((one) => one.taken)
        let unanswered = 0
        for (const { what, who, request } of steps) {
          const one = pages[who] ?? page(windows, false)
          const before = { opened: opened.length, taken: taken().length }
          let given: string[] = []
          if (what === 'requested') one.requested(prompt(request))
          else if (what === 'closed') one.closed(request)
          else if (what === 'focus' || what === 'blur')
            await one.calls['shell.attention']({ isFocused: what === 'focus' })
          else if (what === 'left') one.left()
          else if (what === 'shows') {
            await one.shows(request)
            seen.add(request)
          } else {
            given = (await one.comes()).logins.map(({ requestId }) => requestId)
            unanswered = 0
          }
          given.push(...taken().slice(before.taken))
          expect(given.filter((requestId) => seen.has(requestId))).toEqual([])
          unanswered += opened.length - before.opened
          expect(unanswered).toBeLessThanOrEqual(1)
        }
        windows.close()
      }),
    )
  })
})
