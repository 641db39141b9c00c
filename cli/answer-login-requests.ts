// The terminal as the host that a login request of the core is put before (G5, G7, G8, G11): says what wanted to connect,
// asks, submits, cancels; withdraws its question when somebody else answered. Used by `gateway open` and `db query`.
import { PosternError } from '../shared/errors.ts'
import type { EventPayload, LoginOutcome, LoginPrompt } from '../shared/rpc.ts'
import type { Core, Terminal } from './context.ts'
import { asSentence } from './sentence.ts'
import { signInByAsking } from './sign-in.ts'

/** Why a question was withdrawn from the terminal. */
class Withdrawn extends Error {
  override readonly name = 'Withdrawn'
}

const CLOSED_TEXT: Record<LoginOutcome, string> = {
  succeeded: 'Signed in elsewhere; everything that waited goes on.',
  cancelled: 'The login was cancelled elsewhere.',
  failed: 'The login failed elsewhere.',
  'timed out': 'Nobody signed in in time; what waited got an error. The next connection asks again.',
  withdrawn: 'Nothing waits for this login any more.',
}

const SIGNED_IN = 'Signed in; everything that waited goes on.'

export type LoginAnswerer = {
  /** The last request that ended without a login, for the exit code of a command that depended on it. */
  lastOutcome(): LoginOutcome | undefined
  stop(): Promise<void>
}

/** What wanted the login, e.g. `psql wants to connect to orders as reader, but …`. */
export function describeRequest(request: LoginPrompt): string {
  const { reason } = request
  const who =
    reason.kind === 'connection'
      ? `${reason.client ?? 'A program'} wants to connect to ${reason.resource} as ${reason.account}`
      : `"${reason.what}" needs a login`
  const waiting = request.waiting > 1 ? ` ${request.waiting} connections wait.` : ''
  return `${who}, but the login of ${request.user} at ${request.profile} has expired.${waiting}`
}

/**
 * Answers login requests of this connection until `stop`. Requests are asked one after the other. The
 * core sends none to a host that said `canAsk: false`.
 */
export function answerLoginRequests(core: Core, terminal: Terminal): LoginAnswerer {
  const stopping = new AbortController()
  /** Requests that are asked or wait to be asked, each with what withdraws its question. */
  const open = new Map<string, AbortController>()
  /** Those that the person has gone to the browser for. */
  const inBrowser = new Set<string>()
  let queue: Promise<void> = Promise.resolve()
  let lastOutcome: LoginOutcome | undefined

  const say = (text: string) => terminal.stderr.write(`${text}\n`)

  async function ask(request: LoginPrompt, withdrawn: AbortSignal): Promise<void> {
    const { requestId, profile, user } = request
    if (withdrawn.aborted) return
    say(`\n${describeRequest(request)}`)
    const touch = () => {
      // Only tells the core that a person is at it; if the core is gone, so is the question.
      core.call('login.touch', { requestId }).catch(() => undefined)
    }
    try {
      await signInByAsking(core, terminal, {
        base: { profile, user, requestId },
        prompt: `Password of ${user} at ${profile} (Ctrl-C cancels this login only): `,
        totp: request.totp,
        signal: withdrawn,
        onFirstKey: touch,
        sso: request.sso,
        onBrowser: () => inBrowser.add(requestId),
      })
      say(SIGNED_IN)
    } catch (error) {
      if (error instanceof Withdrawn) {
        if (!stopping.signal.aborted) say(error.message)
        return
      }
      if (stopping.signal.aborted) return
      const cancelled = error instanceof PosternError && error.code === 'login_cancelled'
      say(
        cancelled
          ? 'Login cancelled; what waited got an error. The gateway stays open.'
          : `${asSentence(error instanceof Error ? error.message : 'the login failed')} What waited got an error; the gateway stays open.`,
      )
      lastOutcome = cancelled ? 'cancelled' : 'failed'
      await core.call('login.cancel', { requestId, outcome: cancelled ? 'cancelled' : 'failed' }).catch(() => undefined)
    }
  }

  function onRequested(request: LoginPrompt): void {
    if (open.has(request.requestId)) return
    const withdrawal = new AbortController()
    open.set(request.requestId, withdrawal)
    queue = queue
      .then(() => ask(request, AbortSignal.any([withdrawal.signal, stopping.signal])))
      .finally(() => {
        open.delete(request.requestId)
        inBrowser.delete(request.requestId)
      })
  }

  function onClosed(closed: EventPayload<'login.closed'>): void {
    if (closed.outcome !== 'succeeded') lastOutcome = closed.outcome
    const withdrawal = open.get(closed.requestId)
    if (withdrawal === undefined) return
    // The terminal that answered it itself hears of it too; nothing is asked then, so nothing is withdrawn.
    // From the browser the word comes as an event, like one from elsewhere.
    const isOurs = closed.outcome === 'succeeded' && inBrowser.has(closed.requestId)
    withdrawal.abort(new Withdrawn(isOurs ? SIGNED_IN : (closed.text ?? CLOSED_TEXT[closed.outcome])))
  }

  const unsubscribe = [core.on('login.requested', onRequested), core.on('login.closed', onClosed)]
  return {
    lastOutcome: () => lastOutcome,
    async stop() {
      for (const off of unsubscribe) off()
      stopping.abort(new Withdrawn('The terminal is done.'))
      await queue
    },
  }
}
