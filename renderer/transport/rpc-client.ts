// Typed calls and events over a PageTransport. Promises: every call ends (result, error, deadline, abort, or the
// connection went away), results and events are checked against the contract, errors are PosternErrors.
import type { z } from 'zod'
import { isErrorCode, PosternError } from '../../shared/errors.ts'
import { CALLS, CoreMessage, EVENTS } from '../../shared/rpc.ts'
import { SHELL_CALLS, SHELL_EVENTS, type PageMethod, type PageTransport, type ShellMethod } from '../../shared/shell.ts'

const SCHEMAS = { ...CALLS, ...SHELL_CALLS }
const EVENT_SCHEMAS = { ...EVENTS, ...SHELL_EVENTS }
type Schemas = typeof SCHEMAS
type EventSchemas = typeof EVENT_SCHEMAS

export type PageCall = PageMethod | ShellMethod
export type CallParams<M extends PageCall> = z.input<Schemas[M]['params']>
export type CallResult<M extends PageCall> = z.output<Schemas[M]['result']>
export type PageEvent = keyof EventSchemas
export type PageEventPayload<E extends PageEvent> = z.output<EventSchemas[E]>

/** How long a call may take, in ms; calls that talk to the cluster or wait for its answer get more. */
const DEADLINE_MS = 15_000
const LONG_DEADLINES_MS: Partial<Record<PageCall, number>> = {
  'profile.add': 40_000,
  'login.submit': 120_000,
  'login.sso': 40_000,
  logout: 40_000,
  'resource.list': 40_000,
  'gateway.open': 60_000,
  'gateway.test': 60_000,
  'diagnostics.bundle': 60_000,
  'sessions.end': 40_000,
  'sessions.statements': 40_000,
  'api.call': 40_000,
}

export type CallOptions = { signal?: AbortSignal | undefined; deadlineMs?: number | undefined }
export type RpcClient = {
  call<M extends PageCall>(method: M, params: CallParams<M>, options?: CallOptions): Promise<CallResult<M>>
  on<E extends PageEvent>(event: E, listener: (payload: PageEventPayload<E>) => void): () => void
  /** Whether messages reach the shell; listeners hear changes only. */
  isOpen(): boolean
  onState(listener: (isOpen: boolean) => void): () => void
}

type Pending = { resolve: (value: unknown) => void; reject: (error: PosternError) => void }

/** `isOpen`: whether `transport` is open already. `unreachableText`: what a person reads when the shell is away. */
export function createRpcClient(
  transport: PageTransport,
  { isOpen, unreachableText, lateText }: { isOpen: boolean; unreachableText: string; lateText: string },
): RpcClient {
  const pending = new Map<number, Pending>()
  const listeners = new Map<string, Set<(payload: unknown) => void>>()
  const stateListeners = new Set<(isOpen: boolean) => void>()
  let nextId = 1
  let open = isOpen

  transport.onState((state) => {
    const before = open
    open = state === 'open'
    if (!open) {
      const waiting = [...pending.values()]
      for (const call of waiting) call.reject(new PosternError('core_unreachable', unreachableText))
    }
    if (before !== open) for (const listener of stateListeners) listener(open)
  })

  transport.onMessage((raw) => {
    const message = CoreMessage.safeParse(raw).data
    if (!message) return
    if ('event' in message) {
      const schema = eventSchema(message.event)
      const payload = schema?.safeParse(message.payload)
      if (!payload?.success) return
      for (const listener of listeners.get(message.event) ?? []) listener(payload.data)
    } else if ('error' in message) {
      const { code, text, errorId, detail } = message.error
      const body = { code: isErrorCode(code) ? code : ('internal' as const), text, errorId, detail }
      pending.get(message.id)?.reject(PosternError.fromBody(body))
    } else {
      pending.get(message.id)?.resolve(message.result)
    }
  })

  return {
    async call(method, params, options = {}) {
      if (!open) throw new PosternError('core_unreachable', unreachableText)
      options.signal?.throwIfAborted()
      const id = nextId++
      const deadlineMs = options.deadlineMs ?? LONG_DEADLINES_MS[method] ?? DEADLINE_MS
      const answer = Promise.withResolvers<unknown>()
      const abort = (): void => answer.reject(options.signal?.reason)
      const timer = setTimeout(() => answer.reject(new PosternError('core_unreachable', lateText)), deadlineMs)
      options.signal?.addEventListener('abort', abort, { once: true })
      pending.set(id, answer)
      try {
        transport.send({ id, method, params })
        return parseResult(method, await answer.promise)
      } finally {
        pending.delete(id)
        clearTimeout(timer)
        options.signal?.removeEventListener('abort', abort)
      }
    },
    on(event, listener) {
      const set = listeners.get(event) ?? new Set()
      listeners.set(event, set)
      const wrapped = (payload: unknown): void => {
        // Checked against this event's schema before it came here.
        listener(payload as Parameters<typeof listener>[0])
      }
      set.add(wrapped)
      return () => set.delete(wrapped)
    },
    isOpen: () => open,
    onState(listener) {
      stateListeners.add(listener)
      return () => stateListeners.delete(listener)
    },
  }
}

function parseResult<M extends PageCall>(method: M, result: unknown): CallResult<M> {
  const schema: z.ZodType = SCHEMAS[method].result
  const parsed = schema.safeParse(result)
  if (!parsed.success) throw new PosternError('protocol', `The answer to ${method} was not understood.`)
  return parsed.data as CallResult<M>
}

const isPageEvent = (event: string): event is PageEvent => Object.hasOwn(EVENT_SCHEMAS, event)
const eventSchema = (event: string): z.ZodType | undefined => (isPageEvent(event) ? EVENT_SCHEMAS[event] : undefined)
