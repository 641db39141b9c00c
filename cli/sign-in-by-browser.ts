// Signs the person in at the identity provider, in a browser: prints the link, opens it where that is possible, waits for the core
// to say that the browser is back. Used by `postern login --sso` and by the terminal's answer to a login request.
import { PosternError } from '../shared/errors.ts'
import type { Params, ProfileView } from '../shared/rpc.ts'
import { askInTerminal } from './ask-secret.ts'
import type { Core, Terminal } from './context.ts'
import { asSentence } from './sentence.ts'

export type BrowserSignIn = {
  /** Profile, and what goes along: request id, time to live. */
  base: Params<'login.sso'> & { profile: string }
  /** Withdraws the wait; the login itself is then the core's business. */
  signal: AbortSignal
}

/** Ends of a login in the browser after which another link can help. */
const RETRY_CODES = ['sso_failed', 'sso_denied', 'sso_unreachable']

/**
 * Prints the link and waits.
 * @throws PosternError `login_cancelled` when the person cancels, why it failed where nobody can be asked to start again, and what
 *   another link cannot help
 */
export async function signInByBrowser(
  core: Core,
  terminal: Terminal,
  { base, signal }: BrowserSignIn,
): Promise<ProfileView> {
  for (;;) {
    const { url, expiresAt } = await core.call('login.sso', base)
    const until = new Date(expiresAt).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' })
    const isOpened = terminal.openLink?.(url) ?? false
    const what = isOpened ? 'Your browser opens this link' : 'Open this link in a browser on this machine'
    terminal.stderr.write(`${what}; it works until ${until}:\n  ${url}\n`)
    const ended = core.call('login.ssoWait', { profile: base.profile })
    if (!terminal.canAsk) return ended
    try {
      const outcome = await endedOrEnter(ended, terminal, signal)
      if (outcome !== 'enter') return outcome
    } catch (error) {
      if (!(error instanceof PosternError) || !RETRY_CODES.includes(error.code)) throw error
      terminal.stderr.write(`${asSentence(error.message)}\n`)
      await askInTerminal(terminal, { prompt: 'Enter starts again, Ctrl-C cancels: ', hidden: true, signal })
    }
  }
}

/** The end of the login, or the person wants a new link. */
async function endedOrEnter(
  ended: Promise<ProfileView>,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ProfileView | 'enter'> {
  const over = new AbortController()
  const enter = askInTerminal(terminal, {
    prompt: 'Waiting for the browser. Enter gives a new link, Ctrl-C cancels: ',
    hidden: true,
    signal: AbortSignal.any([signal, over.signal]),
  }).then((): 'enter' => 'enter')
  try {
    return await Promise.race([ended, enter])
  } finally {
    over.abort()
    // The terminal is given back before anything else is printed.
    await enter.catch(() => undefined)
    ended.catch(() => undefined)
  }
}
