// The one check of everything that a page says, for both shells (Electron's main process, the browser host): size, shape, allowed
// methods, parameters. Promises to answer every message that has an id and never to throw; what it lets through is parsed. A page
// is taken for hostile: it draws, it decides nothing (D1).
import { z } from 'zod'
import type { CallOptions } from '../client/connect.ts'
import { PosternError, type ErrorBody } from '../shared/errors.ts'
import {
  CALLS,
  EVENTS,
  type CoreMessage,
  type EventName,
  type Method,
  type Params,
  type ParsedParams,
  type Result,
} from '../shared/rpc.ts'
import {
  PAGE_API_CALLS,
  PAGE_MESSAGE_MAX_BYTES,
  PAGE_METHODS,
  PageMessage,
  SHELL_CALLS,
  type PageApiPath,
  type PageMethod,
  type ShellMethod,
  type ShellResult,
} from '../shared/shell.ts'

/** What answers the shell's own calls; parameters are parsed already. */
export type ShellHandlers = {
  [M in ShellMethod]: (params: z.output<(typeof SHELL_CALLS)[M]['params']>) => Promise<ShellResult<M>>
}

/** The calling half of a CoreConnection. */
export type CoreCaller = {
  call<M extends Method>(method: M, params: Params<M>, options?: CallOptions): Promise<Result<M>>
}

/** One message to a page: an answer or an event. */
export type PageReply = z.input<typeof CoreMessage>

export type PageGateOptions = {
  /** The core at this moment; undefined while it is being started again. */
  core: () => CoreCaller | undefined
  shell: ShellHandlers
  /** Sends one message to the page; must not throw if the page has gone. */
  send: (message: PageReply) => void
  /** Told of each message that was refused unanswered or answered with `bad_request`; for the log, never with its content. */
  onRefused?: (why: string) => void
  /** Told of an error that is none of Postern's (a bug); the page sees `internal` without its text. */
  onBug?: (error: unknown) => void
}

export type PageGate = {
  /** Takes one message of the page as JSON text; resolves when it was answered. Never rejects. */
  receive(text: unknown): Promise<void>
  /** The page has gone: its calls are given up, later messages are ignored. Idempotent. */
  close(): void
}

/** Events of the core that a page gets. */
export const PAGE_EVENTS = Object.keys(EVENTS) as EventName[]

/** Calls of one page under way at a time; a page of ours never comes near. */
const PENDING_MAX = 100

const MessageId = z.object({ id: PageMessage.shape.id })

export function createPageGate(options: PageGateOptions): PageGate {
  const lifetime = new AbortController()
  let pending = 0
  /** What this page watches: a desktop's connection to the core outlives its windows, so it has to be said that one is gone. */
  const watches = new Set<string>()

  const answer = async (method: PageMethod | ShellMethod, params: unknown): Promise<unknown> => {
    if (isShellMethod(method)) return callShell(options.shell, method, params)
    const core = options.core()
    if (!core) throw new PosternError('core_unreachable', 'the Postern core is being started; try again in a moment')
    return callCore(core, method, params, lifetime.signal, watches)
  }

  const refuse = (id: number | undefined, why: string): void => {
    options.onRefused?.(why)
    if (id !== undefined) options.send({ id, error: new PosternError('bad_request', why).toBody() })
  }

  const errorBody = (error: unknown): ErrorBody => {
    if (error instanceof PosternError) {
      if (error.code === 'bad_request') options.onRefused?.(error.message)
      return error.toBody()
    }
    options.onBug?.(error)
    return new PosternError('internal', 'something went wrong inside Postern; its log says what').toBody()
  }

  return {
    async receive(text) {
      if (lifetime.signal.aborted) return
      const parsed = parseText(text)
      if ('refused' in parsed) {
        refuse(parsed.id, parsed.refused)
        return
      }
      const { id, method, params } = parsed.message
      if (pending >= PENDING_MAX) {
        const busy = new PosternError('rate_limited', 'too many calls at once')
        options.send({ id, error: busy.toBody() })
        return
      }
      pending++
      let reply: PageReply
      try {
        reply = { id, result: await answer(method, params) }
      } catch (error) {
        reply = { id, error: errorBody(error) }
      } finally {
        pending--
      }
      if (!isClosed(lifetime.signal)) options.send(reply)
    },
    close() {
      lifetime.abort(new PosternError('core_unreachable', 'the page has gone'))
      const core = options.core()
      // A core that is gone itself watches nothing any more.
      for (const watch of watches) core?.call('sessions.unwatch', { watch }).catch(() => undefined)
      watches.clear()
    },
  }
}

/** A function, since the compiler believes that `aborted` cannot change while we wait. */
const isClosed = (signal: AbortSignal): boolean => signal.aborted

type Parsed = { message: z.output<typeof PageMessage> } | { refused: string; id: number | undefined }

function parseText(text: unknown): Parsed {
  if (typeof text !== 'string') return { refused: 'a message is JSON text', id: undefined }
  // First the cheap bound: a character is at least a byte.
  if (text.length > PAGE_MESSAGE_MAX_BYTES || Buffer.byteLength(text) > PAGE_MESSAGE_MAX_BYTES) {
    return { refused: `a message has at most ${PAGE_MESSAGE_MAX_BYTES} bytes`, id: undefined }
  }
  let raw: unknown
  try {
    raw = JSON.parse(text)
  } catch {
    return { refused: 'a message is JSON text', id: undefined }
  }
  const message = PageMessage.safeParse(raw)
  if (message.success) return { message: message.data }
  const named = MessageId.safeParse(raw)
  return { refused: `not a call that a page may make: ${whatIsWrong(message.error)}`, id: named.data?.id }
}

/** Names the keys that are wrong and never their values, which may be secrets. */
function whatIsWrong(error: z.ZodError): string {
  const keys = new Set(error.issues.map((issue) => issue.path.join('.') || issue.code))
  return [...keys].slice(0, 5).join(', ').slice(0, 200)
}

const isShellMethod = (method: PageMethod | ShellMethod): method is ShellMethod => Object.hasOwn(SHELL_CALLS, method)

/** Whether a page may ask the core for this. */
export const isPageMethod = (method: string): method is PageMethod =>
  (PAGE_METHODS as readonly string[]).includes(method)

async function callShell(shell: ShellHandlers, method: ShellMethod, raw: unknown): Promise<unknown> {
  const params = SHELL_CALLS[method].params.safeParse(raw)
  if (!params.success) throw badParams(method, params.error)
  return SHELL_CALLS[method].result.parse(await shell[method](params.data as never))
}

async function callCore(
  core: CoreCaller,
  method: PageMethod,
  raw: unknown,
  signal: AbortSignal,
  watches: Set<string>,
): Promise<unknown> {
  const params = CALLS[method].params.safeParse(raw)
  if (!params.success) throw badParams(method, params.error)
  if (method === 'sessions.watch') watches.add(CALLS[method].params.parse(params.data).watch)
  if (method === 'sessions.unwatch') watches.delete(CALLS[method].params.parse(params.data).watch)
  if (method === 'api.call') checkApiCall(CALLS['api.call'].params.parse(params.data))
  return core.call(method, params.data, { signal })
}

/** The core would make any call of the server's API for the person; a page gets its own account and nothing more. */
function checkApiCall({ method, path, body }: ParsedParams<'api.call'>): void {
  const schema = isPageApiPath(path) && method === 'POST' ? PAGE_API_CALLS[path] : undefined
  if (schema === undefined) throw new PosternError('bad_request', 'api.call: a page may not ask this of the server')
  const parsed = schema.safeParse(body)
  if (!parsed.success) throw badParams('api.call', parsed.error)
}

const isPageApiPath = (path: string): path is PageApiPath => Object.hasOwn(PAGE_API_CALLS, path)

const badParams = (method: string, error: z.ZodError): PosternError =>
  new PosternError('bad_request', `${method}: ${whatIsWrong(error)} is wrong`)
