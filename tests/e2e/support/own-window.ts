// A Chromium that the product opens by itself on a display of its own (Xvfb): found through PATH as on a person's machine, with
// a debugging port added by a small script before it, through which the test sees its windows. Looking changes nothing: pages
// are asked by plain DevTools calls, not by a driver that pretends that they have the focus.
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { join } from 'node:path'
import WebSocket from 'ws'
import { z } from 'zod'
import { PATIENCE } from '../../support/patience.ts'
import { Kept, until } from '../../support/run.ts'

export type Display = { env: Record<string, string | undefined>; stop: () => Promise<unknown> }

/** A display without a window manager; undefined where Xvfb is not installed. */
export async function startDisplay(): Promise<Display | undefined> {
  const xvfb = new Kept('Xvfb', ['-displayfd', '1', '-screen', '0', '1600x1000x24', '-nolisten', 'tcp'])
  const number = await xvfb.waitFor(/^(\d+)$/m).catch(() => undefined)
  if (!number) return undefined
  return { env: { DISPLAY: `:${number[1] ?? ''}`, WAYLAND_DISPLAY: undefined }, stop: () => xvfb.stop() }
}

/** Puts a `chromium` into `dir` that is the real one with a debugging port; the PATH that finds it first. */
export async function watchedChromium(dir: string, flags: readonly string[] = []): Promise<string> {
  await mkdir(dir, { recursive: true })
  const script = join(dir, 'chromium')
  const more = ['--remote-debugging-port=0', '--disable-dev-shm-usage', ...flags].join(' ')
  await writeFile(script, `#!/bin/sh\nexec /usr/bin/chromium "$@" ${more}\n`)
  await chmod(script, 0o755)
  return `${dir}:${process.env['PATH'] ?? ''}`
}

/** Another program's window on the display, which the person turns to. */
export type Elsewhere = {
  /** Resolves when that window has the focus, and the page of ours has not. */
  look: () => Promise<void>
  stop: () => Promise<unknown>
}

/** Opens that window and turns to it. */
export async function lookElsewhere(display: Display, dir: string, from: WatchedPage): Promise<Elsewhere> {
  const flags = [
    '--app=data:text/html,elsewhere',
    `--user-data-dir=${dir}`,
    '--remote-debugging-port=0',
    '--no-first-run',
    '--disable-dev-shm-usage',
  ]
  const other = new Kept('/usr/bin/chromium', [...flags, ...asRoot], { env: display.env })
  const elsewhere = {
    look: () =>
      until(
        async () => {
          if ((await from.ask('document.hasFocus()')) === false) return true
          const [page] = await pagesBelow(dir)
          await page?.call('Page.bringToFront', {})
          return false
        },
        'the focus is elsewhere',
        30_000,
      ),
    stop: () => other.stop(),
  }
  await elsewhere.look()
  return elsewhere
}

const asRoot = process.getuid?.() === 0 ? ['--no-sandbox'] : []

const Targets = z.array(
  z.object({ id: z.string(), type: z.string(), url: z.string(), webSocketDebuggerUrl: z.string() }),
)
export type WatchedPage = {
  url: string
  isOpen: () => Promise<boolean>
  ask: (expression: string) => Promise<unknown>
  call: Devtools
  /** Emulated media hold as long as the connection that asked for them. */
  withMedia: (media: Record<string, unknown>, look: (call: Devtools) => Promise<void>) => Promise<void>
}
type Devtools = (method: string, params: Record<string, unknown>) => Promise<Record<string, unknown>>

/** The pages of the Chromium whose profile lies below `home`; none while it does not run. Fails if it runs and does not answer. */
export const pagesOf = (home: string): Promise<WatchedPage[]> => pagesBelow(join(home, 'browser-profile'))

async function pagesBelow(profileDir: string): Promise<WatchedPage[]> {
  return (await targetsOf(profileDir))
    .filter((target) => target.type === 'page')
    .map(({ id, url, webSocketDebuggerUrl }) => {
      const call: Devtools = (method, params) => callDevtools(webSocketDebuggerUrl, method, params)
      return {
        url,
        isOpen: async () => (await targetsOf(profileDir)).some((target) => target.id === id),
        call,
        async withMedia(media, look) {
          const socket = new WebSocket(webSocketDebuggerUrl)
          try {
            await once(socket, 'open')
            const kept: Devtools = (method, params) => callOn(socket, method, params)
            await kept('Emulation.setEmulatedMedia', media)
            await look(kept)
          } finally {
            socket.terminate()
          }
        },
        async ask(expression) {
          const { result } = await call('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })
          return (result as { value?: unknown } | undefined)?.value
        },
      }
    })
}

/** What Chromium says that it shows. That it could not be asked is no answer: then it is asked again. */
async function targetsOf(profileDir: string): Promise<z.infer<typeof Targets>> {
  const [port = ''] = (await readFile(join(profileDir, 'DevToolsActivePort'), 'utf8').catch(() => '')).split('\n')
  if (port === '') return []
  let found: z.infer<typeof Targets> = []
  await until(
    async () => {
      try {
        const answer = await fetch(`http://127.0.0.1:${port}/json/list`, { signal: AbortSignal.timeout(DEADLINE_MS) })
        found = Targets.parse(await answer.json())
        return true
      } catch (error) {
        // Nobody listens any more.
        return error instanceof TypeError && (error.cause as { code?: unknown }).code === 'ECONNREFUSED'
      }
    },
    'Chromium says which pages it has',
    30_000,
  )
  return found
}

/** The page whose address matches, as soon as there is one. */
export async function pageOf(home: string, address: RegExp): Promise<WatchedPage> {
  let found: WatchedPage | undefined
  await until(
    async () => (found = (await pagesOf(home)).find(({ url }) => address.test(url))) !== undefined,
    `a window at ${String(address)}`,
    30_000,
  )
  return found as WatchedPage
}

/** Waits until the page shows a text. */
export const shows = (page: WatchedPage, text: string): Promise<void> =>
  until(
    async () =>
      (await page.ask(`document.body.innerText.includes(${JSON.stringify(text)})`).catch(() => false)) === true,
    `the window shows "${text}"`,
    20_000,
  )

/** Types into what has the focus, as the keyboard does. */
export async function type(page: WatchedPage, text: string): Promise<void> {
  await page.call('Input.insertText', { text })
}

/** Presses a key. A window that closes at it may be gone before Chromium says that the key was pressed, or let go. */
export async function press(page: WatchedPage, key: 'Enter' | 'Escape'): Promise<void> {
  const code = key === 'Enter' ? 13 : 27
  const text = key === 'Enter' ? { text: '\r' } : {}
  try {
    await page.call('Input.dispatchKeyEvent', { type: 'keyDown', key, windowsVirtualKeyCode: code, ...text })
    await page.call('Input.dispatchKeyEvent', { type: 'keyUp', key, windowsVirtualKeyCode: code })
  } catch (error) {
    if (await page.isOpen()) throw error
  }
}

async function callDevtools(
  url: string,
  method: string,
  params: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const socket = new WebSocket(url)
  try {
    await once(socket, 'open', { signal: AbortSignal.timeout(DEADLINE_MS) })
    return await callOn(socket, method, params)
  } finally {
    socket.terminate()
  }
}

const DEADLINE_MS = PATIENCE * 10_000
let calls = 0

/** One call on a connection that is open. */
function callOn(socket: WebSocket, method: string, params: Record<string, unknown>): Promise<Record<string, unknown>> {
  const id = ++calls
  const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>()
  const late = setTimeout(() => reject(new Error(`the window does not answer ${method}`)), DEADLINE_MS)
  const onClose = (): void => reject(new Error(`the window went away during ${method}`))
  const onMessage = (data: Buffer): void => {
    const answer = JSON.parse(data.toString()) as { id?: number; result?: Record<string, unknown>; error?: unknown }
    if (answer.id !== id) return
    if (answer.result) resolve(answer.result)
    else reject(new Error(`${method}: ${JSON.stringify(answer.error)}`))
  }
  socket.once('close', onClose).on('message', onMessage).once('error', reject)
  socket.send(JSON.stringify({ id, method, params }))
  return promise.finally(() => {
    clearTimeout(late)
    socket.off('close', onClose).off('message', onMessage).off('error', reject)
  })
}
