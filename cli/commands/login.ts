// `postern login` and `postern logout`: makes a cluster known (its CA compared by the person or given), signs in and out.
import { readFile } from 'node:fs/promises'
import { formatDuration, parseDuration } from '../../shared/duration.ts'
import { PosternError } from '../../shared/errors.ts'
import type { ProfileView } from '../../shared/rpc.ts'
import { askInTerminal } from '../ask-secret.ts'
import type { Context, Core } from '../context.ts'
import { readPassword } from '../read-stdin.ts'
import { parseServerAddress } from '../server-address.ts'
import { signInByAsking } from '../sign-in.ts'
import { signInByBrowser } from '../sign-in-by-browser.ts'
import { withCore } from '../with-core.ts'

export type LoginOptions = {
  user?: string
  profile?: string
  passwordStdin?: boolean
  totp?: string
  ca?: string
  caPin?: string
  setupCode?: string
  sso?: boolean
  ttl?: string
  json?: boolean
}

/** @throws PosternError of the core, or `bad_request` for options that do not go together */
export async function login(context: Context, address: string | undefined, options: LoginOptions): Promise<void> {
  const { terminal } = context
  const ttlMs = options.ttl === undefined ? undefined : parseDuration(options.ttl)
  if (options.ttl !== undefined && ttlMs === undefined)
    throw new PosternError('bad_request', `--ttl "${options.ttl}" is not a duration such as 30m, 8h or 1h30m.`)
  if (options.sso) {
    await loginByBrowser(context, address, options, ttlMs)
    return
  }
  if (!options.passwordStdin && !terminal.canAsk)
    throw new PosternError('bad_request', 'There is no terminal to ask for the password: pipe it in, --password-stdin.')
  // Read before anything else, so that a forgotten pipe is noticed before the server is asked.
  const piped = options.passwordStdin ? await readPassword(terminal.stdin) : undefined

  await withCore(context, async (core) => {
    const profile = await findProfile(context, core, address, options)
    const user = options.user ?? profile.user ?? undefined
    if (user === undefined)
      throw new PosternError(
        'bad_request',
        `Who signs in to ${profile.profile}? Say it with --user NAME${profile.sso ? `, or log in with ${profile.sso.name}: --sso` : ''}.`,
      )
    const base = {
      profile: profile.profile,
      user,
      ...ttlSecondsOf(ttlMs),
      ...(options.setupCode === undefined ? {} : { setupCode: options.setupCode }),
    }
    const totp = options.totp === undefined ? {} : { totp: options.totp }
    const password = piped ?? (options.setupCode === undefined ? undefined : await chooseNewPassword(context))
    const signedIn =
      password === undefined && options.totp === undefined
        ? await signInByAsking(core, terminal, {
            base,
            prompt: `Password of ${user} at ${profile.profile} (${profile.address}): `,
            totp: false,
            sso: profile.sso,
            signal: context.interrupt,
          })
        : await core.call('login.submit', {
            ...base,
            password: password ?? (await askPassword(context, user, profile)),
            ...totp,
          })
    say(context, signedIn, options)
  })
}

/** `--sso`: at the identity provider. Who it is, the provider says. */
async function loginByBrowser(
  context: Context,
  address: string | undefined,
  options: LoginOptions,
  ttlMs: number | undefined,
): Promise<void> {
  await withCore(context, async (core) => {
    const { profile } = await findProfile(context, core, address, options)
    const base = { profile, ...ttlSecondsOf(ttlMs) }
    say(context, await signInByBrowser(core, context.terminal, { base, signal: context.interrupt }), options)
  })
}

const ttlSecondsOf = (ttlMs: number | undefined): { ttlSeconds?: number } =>
  ttlMs === undefined ? {} : { ttlSeconds: Math.max(1, Math.round(ttlMs / 1000)) }

function say({ terminal }: Context, signedIn: ProfileView, { json }: LoginOptions): void {
  if (json) terminal.stdout.write(`${JSON.stringify(signedIn)}\n`)
  else terminal.stdout.write(`${describeLogin(signedIn)}\n`)
}

/** "Signed in to demo as alice; the login ends in 8h." */
function describeLogin(profile: ProfileView): string {
  const left = profile.remainingMs === null ? '' : `; the login ends in ${formatDuration(profile.remainingMs)}`
  const level = profile.level === null || profile.level === 'none' ? '' : ` (permission level ${profile.level})`
  return `Signed in to ${profile.profile} as ${profile.user ?? 'nobody'}${level}${left}.`
}

const askPassword = (context: Context, user: string, profile: ProfileView): Promise<string> =>
  askInTerminal(context.terminal, {
    prompt: `Password of ${user} at ${profile.profile} (${profile.address}): `,
    hidden: true,
    signal: context.interrupt,
  })

/** The first administrator chooses a password: typed twice, since nobody could reset it. */
async function chooseNewPassword(context: Context): Promise<string> {
  const ask = (prompt: string) => askInTerminal(context.terminal, { prompt, hidden: true, signal: context.interrupt })
  const password = await ask('New password (at least 8 characters): ')
  if ((await ask('The same again: ')) === password) return password
  throw new PosternError('bad_request', 'The two passwords differ; nothing was changed.')
}

/** The profile of the address (made known if it is new), or the one that was asked for, or the current one. */
async function findProfile(
  context: Context,
  core: Core,
  address: string | undefined,
  options: LoginOptions,
): Promise<ProfileView> {
  const { profiles, current } = await core.call('profile.list', {})
  if (address === undefined) {
    if (options.ca !== undefined || options.caPin !== undefined)
      throw new PosternError('bad_request', '--ca and --ca-pin make a server known: give its ADDRESS as well.')
    const wanted = options.profile ?? current
    const profile = profiles.find((candidate) => candidate.profile === wanted)
    if (profile !== undefined) return profile
    if (options.profile !== undefined)
      throw new PosternError('profile_unknown', `There is no profile "${options.profile}" here.`)
    throw new PosternError('bad_request', 'No server is known here yet: postern login ADDRESS --user NAME')
  }
  const wanted = parseServerAddress(address)
  const known = profiles.find((candidate) => candidate.address === wanted)
  if (known !== undefined && options.ca === undefined && options.caPin === undefined) return known
  return addProfile(context, core, wanted, options)
}

async function addProfile(context: Context, core: Core, address: string, options: LoginOptions): Promise<ProfileView> {
  const caPem = options.ca === undefined ? undefined : await readCaFile(options.ca)
  try {
    return await core.call('profile.add', {
      address,
      ...(caPem === undefined ? {} : { caPem }),
      ...(options.caPin === undefined ? {} : { caPin: options.caPin }),
    })
  } catch (error) {
    const fingerprint = fingerprintOf(error)
    if (fingerprint === undefined || caPem !== undefined || options.caPin !== undefined) throw error
    await confirmFingerprint(context, address, fingerprint)
    return core.call('profile.add', { address, caPin: fingerprint })
  }
}

async function readCaFile(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new PosternError('bad_request', `The CA file ${file} (--ca) cannot be read.`, { cause })
  }
}

function fingerprintOf(error: unknown): string | undefined {
  if (!(error instanceof PosternError) || error.code !== 'server_untrusted') return undefined
  const { detail } = error
  if (typeof detail !== 'object' || detail === null || !('fingerprint' in detail)) return undefined
  return typeof detail.fingerprint === 'string' ? detail.fingerprint : undefined
}

/**
 * C8: an unknown CA is trusted only when a person compared its fingerprint.
 * @throws PosternError `server_untrusted` where nobody can or wants to say yes
 */
async function confirmFingerprint(context: Context, address: string, fingerprint: string): Promise<void> {
  if (!context.terminal.canAsk)
    throw new PosternError(
      'server_untrusted',
      `The CA of ${address} is not known here; the server shows the fingerprint ${fingerprint}. ` +
        `If that is the one that "postern server init" printed, say so: --ca-pin ${fingerprint} (or --ca FILE).`,
      { detail: { fingerprint } },
    )
  context.terminal.stderr.write(
    `The CA of ${address} is not known here. The server shows this fingerprint:\n\n    ${fingerprint}\n\n` +
      'Compare it with the one that the administrator gave you ("postern server init" and "start" print it).\n',
  )
  const answer = await askInTerminal(context.terminal, {
    prompt: 'Are they the same? Type yes to trust it: ',
    hidden: false,
    signal: context.interrupt,
  })
  if (answer.trim().toLowerCase() !== 'yes')
    throw new PosternError('server_untrusted', `${address} was not trusted; nothing was changed.`)
}

/** Ends the login, at the server too; gateways close. */
export async function logout(
  context: Context,
  options: { profile?: string; everywhere?: boolean; json?: boolean },
): Promise<void> {
  await withCore(context, async (core) => {
    const { profile } = await core.call('logout', {
      ...(options.profile === undefined ? {} : { profile: options.profile }),
      everywhere: options.everywhere ?? false,
    })
    if (options.json) context.terminal.stdout.write(`${JSON.stringify({ profile })}\n`)
    else context.terminal.stdout.write(`Signed out of ${profile}${options.everywhere ? ', everywhere' : ''}.\n`)
  })
}
