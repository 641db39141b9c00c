// `postern app` and `postern app url`: opens the app on this machine, or prints the address that opens it once.
import type { Context } from '../context.ts'
import { orInterrupted } from '../with-core.ts'

type Options = { json?: boolean }

/** Opens a window where there is a display and a program for it; else prints what `postern app url` prints. */
export async function openTheApp(context: Context, options: Options): Promise<void> {
  await openOrPrint(context, true, options)
}

/** Prints a fresh one-time address; starts the browser host if none runs. */
export async function printAppUrl(context: Context, options: Options): Promise<void> {
  await openOrPrint(context, false, options)
}

async function openOrPrint(context: Context, open: boolean, { json = false }: Options): Promise<void> {
  const { stdout } = context.terminal
  const { window, host, tunnel } = await orInterrupted(context.openApp({ open }), context.interrupt)
  const isShown = (await window?.opened) ?? false
  const url = isShown ? null : ((await host?.freshUrl()) ?? null)
  if (json) {
    stdout.write(`${JSON.stringify({ opened: isShown, url })}\n`)
  } else if (url === null) {
    stdout.write('Postern opens in a window. If none comes up: postern app url\n')
  } else {
    stdout.write(`Open this address in a browser on this machine; it works once:\n  ${url}\n`)
    if (tunnel !== null) stdout.write(`From another machine run this there first, then open it there:\n  ${tunnel}\n`)
  }
}
