// Asks the person for password and code and submits them to the core, until it works or three tries are over; where the cluster has
// an identity provider, an empty answer goes to the browser instead. Used by
// `postern login` and by the terminal's answer to a login request of the core.
import { PosternError } from '../shared/errors.ts'
import type { Params, ProfileView } from '../shared/rpc.ts'
import { askInTerminal } from './ask-secret.ts'
import type { Core, Terminal } from './context.ts'
import { signInByBrowser } from './sign-in-by-browser.ts'

export const MAX_TRIES = 3

export type SignIn = {
  /** What goes along with each try: profile, person, request id … */
  base: Omit<Params<'login.submit'>, 'password' | 'totp'>
  prompt: string
  /** The person is known to need a code, so it is asked for at once. */
  totp: boolean
  /** Withdraws a question that is being asked; a submitted answer is waited for (the core bounds it). */
  signal: AbortSignal
  onFirstKey?: () => void
  /** The identity provider that an empty answer leads to, where the cluster has one. */
  sso?: { name: string } | null | undefined
  /** The person has gone to the browser. */
  onBrowser?: () => void
}

const promptOf = ({ prompt, sso }: SignIn): string =>
  sso ? `Press Enter to log in with ${sso.name} in the browser, or type the password.\n${prompt}` : prompt

/** Errors after which another try can help. */
const RETRY_CODES = ['bad_credentials', 'totp_invalid', 'rate_limited', 'server_unreachable']

/**
 * Asks and submits.
 * @throws PosternError `login_cancelled` when the person cancels, the last try's error after three, anything that another
 *   try cannot help at once
 */
export async function signInByAsking(core: Core, terminal: Terminal, options: SignIn): Promise<ProfileView> {
  const { base, signal } = options
  const touched = options.onFirstKey === undefined ? {} : { onFirstKey: options.onFirstKey }
  const askCode = () => askInTerminal(terminal, { prompt: 'Code of your authenticator: ', hidden: false, signal })
  let needsCode = options.totp
  let password: string | undefined
  for (let triesLeft = MAX_TRIES; ;) {
    password ??= await askInTerminal(terminal, { prompt: promptOf(options), hidden: true, signal, ...touched })
    if (password === '' && options.sso && base.profile !== undefined) {
      options.onBrowser?.()
      const { profile, requestId, ttlSeconds } = base
      return signInByBrowser(core, terminal, { base: { profile, requestId, ttlSeconds }, signal })
    }
    try {
      const code = needsCode ? { totp: (await askCode()).trim() } : {}
      return await core.call('login.submit', { ...base, password, ...code })
    } catch (error) {
      if (!(error instanceof PosternError)) throw error
      if (error.code === 'totp_required' && !needsCode) {
        // The password was right: only the code is missing, and this was no wrong try.
        needsCode = true
        continue
      }
      if (!RETRY_CODES.includes(error.code)) throw error
      triesLeft -= 1
      if (triesLeft === 0) throw error
      // A wrong code says that the password was right.
      if (error.code !== 'totp_invalid') password = undefined
      terminal.stderr.write(`${error.message} (${triesLeft === 1 ? 'one try' : `${triesLeft} tries`} left)\n`)
    }
  }
}
