// `postern gateway open`: opens a gateway, shows its address, and keeps it open until Ctrl-C, through expired logins
// (asked here) and through the death of the core (started again, same port).
import { dirname, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { formatDuration } from '../../shared/duration.ts'
import { PosternError } from '../../shared/errors.ts'
import { hasAccounts } from '../../shared/names.ts'
import type { GatewayView, LoginPrompt, Params, ProfileView } from '../../shared/rpc.ts'
import { answerLoginRequests } from '../answer-login-requests.ts'
import { warnBeforeEnd, type EndWatch } from '../warn-before-end.ts'
import type { Context, Core } from '../context.ts'
import { interruptedError, orInterrupted } from '../with-core.ts'

export type GatewayOpenOptions = {
  profile?: string
  account?: string
  database?: string
  port?: number
  /** A directory or path for a Unix socket beside the port. */
  socket?: string
  /** Undefined: as it was, or as the setting says. */
  password?: boolean
  json?: boolean
  detach?: boolean
}

/**
 * Waits before each new try to get a lost core back, in ms; the first comes at once, since somebody may want to connect. A core
 * that then lasts `STABLE_MS` starts the list again.
 */
const BACK_OFF_MS = [0, 500, 1000, 2000, 5000, 10_000]
const STABLE_MS = 60_000
/** Closing is asked for once and not waited for longer than this. */
const CLOSE_TIMEOUT_MS = 5000

type Ending = 'interrupted' | 'closed' | 'lost'

/** Stays until the gateway is closed, here (Ctrl-C, SIGTERM) or elsewhere. */
export async function openGateway(context: Context, resource: string, options: GatewayOpenOptions): Promise<void> {
  let request: Params<'gateway.open'> = {
    resource,
    keep: options.detach ? 'detached' : 'attached',
    ...(options.profile === undefined ? {} : { profile: options.profile }),
    ...(options.account === undefined ? {} : { account: options.account }),
    ...(options.database === undefined ? {} : { database: options.database }),
    ...(options.port === undefined ? {} : { port: options.port }),
    // The core has another working directory.
    ...(options.socket === undefined ? {} : { socket: resolve(options.socket) }),
    ...(options.password === undefined ? {} : { password: options.password }),
  }
  let shown: GatewayView | undefined
  for (let lost = 0; ;) {
    const startedAt = context.now().getTime()
    let ending: Ending
    try {
      ending = await keepOpen(context, request, options, (gateway, details) => {
        const isAgain = shown !== undefined
        shown = gateway
        // After the core came back the gateway must be the same one, on the same port.
        request = {
          ...request,
          profile: gateway.profile,
          account: gateway.account,
          ...(gateway.database === '' ? {} : { database: gateway.database }),
          port: gateway.port,
          isAgain: true,
        }
        show(context, gateway, { ...details, isAgain, json: options.json ?? false })
      })
    } catch (error) {
      // The first try's error is the answer; later ones are part of getting the core back.
      if (shown === undefined || context.interrupt.aborted || lost >= BACK_OFF_MS.length) throw error
      report(context, options, 'core_lost', error instanceof Error ? error.message : 'The core cannot be reached.')
      ending = 'lost'
    }
    if (ending !== 'lost') return
    if (context.now().getTime() - startedAt > STABLE_MS) lost = 0
    const waitMs = BACK_OFF_MS[lost]
    lost += 1
    if (waitMs === undefined)
      throw new PosternError(
        'core_unreachable',
        'The core of this home keeps ending; gave up keeping the gateway open.',
      )
    report(context, options, 'core_lost', 'The core has ended unexpectedly; starting it again on the same port.')
    try {
      await delay(waitMs, undefined, { signal: context.interrupt })
    } catch {
      return
    }
  }
}

type Shown = { profile: ProfileView | undefined; owned: boolean; stays: boolean }

/** One connection to the core: opens the gateway, shows it, stays until something ends it. */
async function keepOpen(
  context: Context,
  request: Params<'gateway.open'>,
  options: GatewayOpenOptions,
  onOpen: (gateway: GatewayView, details: Shown) => void,
): Promise<Ending> {
  const core = await orInterrupted(context.connect({ canAsk: context.terminal.canAsk }), context.interrupt)
  const answerer = answerLoginRequests(core, context.terminal)
  let watch: EndWatch | undefined
  try {
    let closedElsewhere: (text: string) => void = () => undefined
    const closed = new Promise<Ending>((resolve) => {
      closedElsewhere = (text) => {
        report(context, options, 'closed', text)
        resolve('closed')
      }
    })
    core.on('notice', (notice) => report(context, options, 'notice', notice.text))
    core.on('login.needed', (prompt) => sayLoginNeeded(context, core, options, prompt))

    const opening = await orInterrupted(core.call('gateway.open', request), context.interrupt).catch(
      (error: unknown) => {
        if (context.interrupt.aborted) return undefined
        throw error
      },
    )
    if (opening === undefined) throw interruptedError()
    const { gateway, owned } = opening
    const { profiles } = await core.call('profile.list', {})
    const stays = !options.detach
    onOpen(gateway, { profile: profiles.find(({ profile }) => profile === gateway.profile), owned, stays })
    if (!stays) return 'closed'

    watch = warnBeforeEnd(core, gateway.profile, ({ text, command }) =>
      report(context, options, 'login_ends', text, { profile: gateway.profile, command }),
    )
    watch.look()
    let state = gateway.state
    core.on('gateway.changed', (changed) => {
      if (changed.id !== gateway.id) return
      watch?.look()
      if (changed.state === state) return
      state = changed.state
      if (state === 'closed') closedElsewhere(changed.stateText ?? 'The gateway was closed.')
      else reportState(context, options, changed)
    })
    const interrupted = new Promise<Ending>((resolve) => {
      const onInterrupt = () => resolve('interrupted')
      if (context.interrupt.aborted) onInterrupt()
      else context.interrupt.addEventListener('abort', onInterrupt, { once: true })
    })
    const ending = await Promise.race([interrupted, closed, core.closed.then((): Ending => 'lost')])
    if (ending === 'interrupted' && owned) await closeOwned(context, core, gateway)
    return ending
  } finally {
    watch?.stop()
    await answerer.stop()
    await core.close()
  }
}

async function closeOwned(context: Context, core: Core, gateway: GatewayView): Promise<void> {
  try {
    await Promise.race([
      core.call('gateway.close', { gateway: gateway.id }),
      core.closed,
      delay(CLOSE_TIMEOUT_MS, undefined, { ref: false }),
    ])
  } catch (error) {
    // Closing twice is fine (somebody else was faster); anything else is said, not swallowed (G19).
    if (error instanceof PosternError && error.code === 'gateway_unknown') return
    context.terminal.stderr.write(`postern: ${error instanceof Error ? error.message : 'closing failed'}\n`)
  }
}

/** Prints the gateway: one JSON line for machines, the address big enough to read for people. */
function show(context: Context, gateway: GatewayView, shown: Shown & { isAgain: boolean; json: boolean }): void {
  const { stdout } = context.terminal
  const { id, host, port, url, env, socket, socketUrl } = gateway
  if (shown.json) {
    const event = shown.isAgain ? { event: 'listening' } : {}
    stdout.write(`${JSON.stringify({ ...event, id, host, port, url, env, socket, socketUrl })}\n`)
    return
  }
  if (shown.isAgain) {
    stdout.write(`Listening again on ${host}:${port}.\n`)
    return
  }
  const left = shown.profile?.remainingMs ?? 0
  const life = left > 0 ? `The login ends in ${formatDuration(left)}.` : 'The next connection asks for a login.'
  const end = shown.stays
    ? shown.owned
      ? 'Ctrl-C closes this gateway.'
      : 'It was open already; Ctrl-C leaves it open.'
    : `It stays open; close it with: postern gateway close ${gateway.resource}`
  stdout.write(
    `\n  ${describe(gateway)}\n` +
      `\n      ${host}:${port}\n` +
      `\n  URL   ${url}\n` +
      `  ${exampleOf(gateway)}\n` +
      (socket === undefined ? '' : `\n  Unix socket   ${socket}\n  ${socketExampleOf(gateway, socket)}\n`) +
      guardLine(gateway) +
      `\n  ${life} ${end}\n\n`,
  )
}

const describe = ({ resource, account, database, protocol }: GatewayView): string =>
  hasAccounts(protocol) ? `${resource} as ${account}, database ${database}` : `${resource}, plain TCP`

/** A client that is on most machines. */
function exampleOf({ protocol, host, port, url }: GatewayView): string {
  switch (protocol) {
    case 'postgres':
      return `psql  psql "${url}"`
    case 'tcp':
      return `nc    nc ${host} ${port}`
  }
}

function socketExampleOf({ protocol, account, database, port }: GatewayView, socket: string): string {
  switch (protocol) {
    case 'postgres':
      return `psql  psql -h ${dirname(socket)} -p ${port} -U ${account} ${database}`
    case 'tcp':
      return `nc    nc -U ${socket}`
  }
}

/** What a person has to know of who else on this machine could use it. */
function guardLine({ guardedBy }: GatewayView): string {
  if (guardedBy === 'password') return '\n  The password in the URL is this gateway’s own; clients have to give it.\n'
  if (guardedBy === 'nothing')
    return '\n  Other users of this machine can reach this port: it has no password, and this system does not tell users apart.\n'
  return ''
}

/** Nobody can be asked: the line that signs in from another terminal. */
function sayLoginNeeded(context: Context, core: Core, options: GatewayOpenOptions, prompt: LoginPrompt): void {
  core
    .call('profile.list', {})
    .then(({ profiles }) => {
      const address = profiles.find(({ profile }) => profile === prompt.profile)?.address ?? prompt.profile
      const command = `postern login ${address} --user ${prompt.user}`
      report(context, options, 'login_needed', `A login is needed: ${command}`, {
        profile: prompt.profile,
        user: prompt.user,
        waiting: prompt.waiting,
        command,
      })
    })
    .catch(() => undefined)
}

/** Machines hear of every state; people of those that the prompt, or psql itself, does not tell them. */
function reportState(context: Context, options: GatewayOpenOptions, gateway: GatewayView): void {
  const { state } = gateway
  if (!options.json && (state === 'listening' || state === 'waiting for login' || state === 'starting')) return
  const text =
    state === 'needs login' && context.terminal.canAsk
      ? 'The login has expired; the next connection asks for it here.'
      : (gateway.stateText ?? `The gateway is ${state}.`)
  report(context, options, 'state', text, { state })
}

/** Something happened to the open gateway: stderr for people, one JSON line with an `event` key for machines as well. */
function report(
  context: Context,
  options: GatewayOpenOptions,
  event: string,
  text: string,
  details: Record<string, unknown> = {},
): void {
  if (options.json) context.terminal.stdout.write(`${JSON.stringify({ event, text, ...details })}\n`)
  if (!options.json || event === 'login_needed') context.terminal.stderr.write(`postern: ${text}\n`)
}
