// `postern sessions watch`: live sessions, kept up to date until Ctrl-C. On a screen one table that is drawn over itself; into a pipe
// one line for each session that begins or ends; with --json one line for each change. It outlives the core and the server.
import { setTimeout as delay } from 'node:timers/promises'
import { isErrorCode, PosternError } from '../../shared/errors.ts'
import type { EventPayload } from '../../shared/rpc.ts'
import type { SessionView } from '../../shared/session-api.ts'
import type { Context } from '../context.ts'
import { asSentence } from '../sentence.ts'
import { nameOf, sessionTable, shortId, whyEnded } from '../session-table.ts'
import { orInterrupted } from '../with-core.ts'
import { filterOf, type SessionFilter } from './sessions.ts'

export type WatchOptions = SessionFilter & { profile?: string; json?: boolean }

type Update = EventPayload<'sessions.updated'>

/** Pauses before the core is looked for again, in ms; after the last one it is given up. */
const BACK_OFF_MS = [250, 1000, 4000, 10_000]
/** A connection that lasted as long was a good one. */
const STABLE_MS = 60_000
/** How often the durations on the screen are counted on, in ms. */
const TICK_MS = 1000
/** More would not fit on a screen, and a pipe has `sessions ls`. */
const LIMIT = 1000

/** What shows the sessions: the screen, lines, or JSON. */
type Display = {
  /** The server's clock minus this machine's, in ms. */
  clock: (offsetMs: number) => void
  update: (update: Update) => void
  coreLost: () => void
  end: () => void
}

/** @throws PosternError the first question's error (no login, no right, no server known); later ones are shown, and it goes on */
export async function watchSessions(context: Context, options: WatchOptions): Promise<void> {
  const display = displayFor(context, options)
  const shown = { isAny: false }
  try {
    for (let lost = 0; ; lost += 1) {
      const startedAt = context.now().getTime()
      try {
        await watchOnce(context, options, display, (update) => {
          if (!shown.isAny && update.status === 'failed') throw errorIn(update)
          shown.isAny = true
          display.update(update)
        })
      } catch (error) {
        if (context.interrupt.aborted) return
        if (!shown.isAny || !(error instanceof PosternError && error.code === 'core_unreachable')) throw error
      }
      if (context.now().getTime() - startedAt > STABLE_MS) lost = 0
      const pause = BACK_OFF_MS[lost]
      if (pause === undefined)
        throw new PosternError('core_unreachable', 'The core of this home keeps ending; gave up watching.')
      display.coreLost()
      try {
        await delay(pause, undefined, { signal: context.interrupt })
      } catch {
        return
      }
    }
  } finally {
    display.end()
  }
}

/** One connection to the core; rejects when it is lost, or with what `show` throws. */
async function watchOnce(
  context: Context,
  options: WatchOptions,
  { clock }: Display,
  show: (update: Update) => void,
): Promise<void> {
  const connecting = context.connect({ canAsk: false })
  try {
    const core = await orInterrupted(connecting, context.interrupt)
    const failed = new Promise<never>((_, reject) => {
      core.on('sessions.updated', (update) => {
        try {
          show(update)
        } catch (error) {
          reject(error instanceof Error ? error : new Error('the update could not be shown'))
        }
      })
    })
    const { scope, ...filter } = filterOf(options)
    const watching = core
      .call('sessions.watch', {
        ...filter,
        watch: 'terminal',
        scope: scope === 'all' ? 'all' : 'mine',
        limit: LIMIT,
        ...(options.profile === undefined ? {} : { profile: options.profile }),
      })
      .then(async ({ profile }) => {
        const { profiles } = await core.call('profile.list', {})
        clock(profiles.find((one) => one.profile === profile)?.clockOffsetMs ?? 0)
      })
      .then(() => core.closed)
      .then(() => {
        throw new PosternError('core_unreachable', 'The Postern core went away.')
      })
    await orInterrupted(Promise.race([watching, failed]), context.interrupt)
  } finally {
    // Also one that came too late for an interrupt.
    await connecting.then(
      (core) => core.close(),
      () => undefined,
    )
  }
}

const errorIn = ({ error }: Update): PosternError =>
  new PosternError(isErrorCode(error?.code) ? error.code : 'internal', error?.text ?? 'The sessions could not be read.')

function displayFor(context: Context, options: WatchOptions): Display {
  if (options.json) return jsonLines(context)
  return context.terminal.screen ? onScreen(context, context.terminal.screen) : plainLines(context)
}

function jsonLines({ terminal }: Context): Display {
  const write = (event: string, more: object): void =>
    void terminal.stdout.write(`${JSON.stringify({ event, ...more })}\n`)
  return {
    clock: () => undefined,
    update({ profile, status, error, isWhole, sessions, removed, hasMore }) {
      if (status === 'failed') {
        write('problem', { profile, error })
        return
      }
      for (const session of sessions) write('session', { session })
      for (const id of removed) write('gone', { id })
      if (isWhole) write('listed', { profile, sessions: sessions.length, hasMore })
    },
    coreLost: () => write('core_lost', {}),
    end: () => undefined,
  }
}

/** Who begins and who ends, one a line; what merely moves is no line. */
function plainLines({ terminal }: Context): Display {
  const told = new Map<string, SessionView['state']>()
  const line = (at: string, word: string, session: SessionView, more = ''): void =>
    void terminal.stdout.write(
      `${at}  ${word.padEnd(5)}  ${shortId(session.id)}  ${session.user}  ${nameOf(session)}${more}\n`,
    )
  return {
    clock: () => undefined,
    update({ status, error, sessions }) {
      if (status === 'failed') terminal.stderr.write(`postern: ${asSentence(error?.text ?? '')} It is tried again.\n`)
      for (const session of [...sessions].reverse()) {
        const before = told.get(session.id)
        told.set(session.id, session.state)
        if (before === undefined && session.state !== 'ended') line(session.startedAt, 'live', session)
        if (before !== 'ended' && session.state === 'ended')
          line(session.endedAt ?? session.startedAt, 'ended', session, `  ${whyEnded(session)}`)
      }
    },
    coreLost: () => void terminal.stderr.write('postern: The core has ended unexpectedly; starting it again.\n'),
    end: () => undefined,
  }
}

/** One table, drawn over itself line by line, so that nothing flickers; what does not fit is counted. */
function onScreen(context: Context, screen: () => { columns: number; rows: number }): Display {
  const { stdout } = context.terminal
  const sessions = new Map<string, SessionView>()
  let problem: string | null = null
  let profile: string | null = null
  let hasMore = false
  let drawn = { text: '', lines: 0 }
  let offsetMs = 0

  const draw = (): void => {
    if (profile === null) return
    const { columns, rows } = screen()
    const room = Math.max(1, rows - 4)
    const newestFirst = [...sessions.values()].sort((a, b) => b.startedAt.localeCompare(a.startedAt))
    const shown = newestFirst.slice(0, room)
    const live = newestFirst.filter(({ state }) => state !== 'ended').length
    const lines = [
      `${hasMore ? `At least ${live}` : live} live ${live === 1 ? 'session' : 'sessions'} on ${profile}. Ctrl-C ends this.`,
      ...(shown.length === 0
        ? []
        : sessionTable(shown, context.now().getTime() + offsetMs, columns - 1)
            .trimEnd()
            .split('\n')),
      ...(newestFirst.length > shown.length
        ? [`… and ${newestFirst.length - shown.length}${hasMore ? ' or more' : ''} older ones (--user, --resource)`]
        : []),
      ...(problem === null ? [] : [problem]),
    ].map((line) =>
      Array.from(line)
        .slice(0, Math.max(1, columns - 1))
        .join(''),
    )
    const text = lines.map((line) => `${line}\u001b[K\n`).join('')
    if (text === drawn.text) return
    const up = drawn.lines === 0 ? '' : `\u001b[${drawn.lines}A`
    stdout.write(`${up}\r${text}\u001b[J`)
    drawn = { text, lines: lines.length }
  }
  const timer = setInterval(draw, TICK_MS)
  timer.unref()
  return {
    clock(offset) {
      offsetMs = offset
    },
    update(update) {
      profile = update.profile
      if (update.status === 'ready') hasMore = update.hasMore
      problem = update.status === 'failed' ? `${asSentence(update.error?.text ?? '')} It is tried again.` : null
      if (update.isWhole) sessions.clear()
      for (const id of update.removed) sessions.delete(id)
      for (const session of update.sessions) sessions.set(session.id, session)
      draw()
    },
    coreLost() {
      problem = 'The core has ended unexpectedly; starting it again.'
      draw()
    },
    end: () => clearInterval(timer),
  }
}
