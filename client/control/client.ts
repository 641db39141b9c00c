// A host's end of the control socket: hello, typed calls with deadlines, typed events. Used by connect.ts, and by tests that
// run a core in their own process.
import type { Socket } from 'node:net'
import { PosternError } from '../../shared/errors.ts'
import {
  CALLS,
  CoreMessage,
  EVENTS,
  RPC_VERSION,
  type EventName,
  type EventPayload,
  type Method,
  type Params,
  type Result,
} from '../../shared/rpc.ts'
import { errorFromBody } from '../error-body.ts'
import type { HostKind } from './hosts.ts'
import { jsonLinesOn } from './json-lines.ts'

export type HostIntroduction = {
  kind: HostKind
  /** Whether this host can put a login before the person. */
  canAsk: boolean
  appVersion: string
}

export type CallOptions = { signal?: AbortSignal; deadlineMs?: number }

export type CoreConnection = {
  /** What the core said of itself in its hello. */
  readonly core: Result<'hello'>
  /**
   * Makes a call.
   * @throws PosternError of the core; `core_unreachable` if the core goes away or does not answer in time
   */
  call<M extends Method>(method: M, params: Params<M>, options?: CallOptions): Promise<Result<M>>
  /** Calls back for every event of that name (those that came before the first listener too). Returns how to stop. */
  on<E extends EventName>(event: E, callback: (payload: EventPayload<E>) => void): () => void
  /** Resolves when the core is gone, whoever ended it; never rejects. */
  readonly closed: Promise<void>
  close(): Promise<void>
}

/** Calls that may wait for a person get the hard limit of a login and more; all others a minute. In ms. */
const CALL_DEADLINE_MS = 60_000
const PATIENT_CALL_DEADLINE_MS = 15 * 60_000
const PATIENT_CALLS: readonly Method[] = ['gateway.open', 'login.submit', 'login.ssoWait']
/** Events kept for a listener that has not come yet. */
const EARLY_EVENTS_MAX = 100

type Waiting = { resolve: (result: unknown) => void; reject: (error: Error) => void }

/** Says hello on a connected control socket. Owns the socket from now on. */
export async function attachTo(
  socket: Socket,
  introduction: HostIntroduction,
  signal: AbortSignal,
): Promise<CoreConnection> {
  const waiting = new Map<number, Waiting>()
  const listeners = new Map<string, Set<(payload: never) => void>>()
  const early: { event: EventName; payload: unknown }[] = []
  let nextId = 1

  const deliver = (event: EventName, raw: unknown) => {
    const payload = EVENTS[event].safeParse(raw)
    if (!payload.success) return
    const set = listeners.get(event)
    if (set) for (const callback of [...set]) callback(payload.data as never)
    else if (early.length < EARLY_EVENTS_MAX) early.push({ event, payload: raw })
  }

  const lines = jsonLinesOn(socket, (raw) => {
    const message = CoreMessage.safeParse(raw)
    if (!message.success) {
      lines.destroy()
    } else if ('event' in message.data) {
      // An event of a newer core that we do not know is none of ours.
      if (isEvent(message.data.event)) deliver(message.data.event, message.data.payload)
    } else {
      const call = waiting.get(message.data.id)
      if ('error' in message.data) call?.reject(errorFromBody(message.data.error))
      else call?.resolve(message.data.result)
    }
  })

  void lines.closed.then(() => {
    const gone = new PosternError('core_unreachable', 'the Postern core went away')
    for (const call of waiting.values()) call.reject(gone)
  })

  const callRaw = async (method: string, params: unknown, abort: AbortSignal): Promise<unknown> => {
    if (socket.destroyed) throw new PosternError('core_unreachable', 'the Postern core went away')
    const id = nextId++
    let onAbort = (): void => undefined
    try {
      return await new Promise<unknown>((resolve, reject) => {
        onAbort = () => reject(abort.reason as Error)
        waiting.set(id, { resolve, reject })
        abort.addEventListener('abort', onAbort, { once: true })
        if (abort.aborted) onAbort()
        else lines.send({ id, method, params })
      })
    } finally {
      abort.removeEventListener('abort', onAbort)
      waiting.delete(id)
    }
  }

  const call = async <M extends Method>(
    method: M,
    params: Params<M>,
    options: CallOptions = {},
  ): Promise<Result<M>> => {
    const patience = PATIENT_CALLS.includes(method) ? PATIENT_CALL_DEADLINE_MS : CALL_DEADLINE_MS
    const deadline = AbortSignal.timeout(options.deadlineMs ?? patience)
    const abort = options.signal ? AbortSignal.any([deadline, options.signal]) : deadline
    try {
      return CALLS[method].result.parse(await callRaw(method, params, abort)) as Result<M>
    } catch (error) {
      if (deadline.aborted && error === deadline.reason) {
        throw new PosternError('core_unreachable', `the Postern core did not answer ${method} in time`)
      }
      throw error
    }
  }

  let core: Result<'hello'>
  try {
    core = await call('hello', { rpcVersion: RPC_VERSION, ...pickIntroduction(introduction) }, { signal })
  } catch (error) {
    lines.destroy()
    throw error
  }

  return {
    core,
    call,
    closed: lines.closed,
    on(event, callback) {
      const set = listeners.get(event) ?? new Set()
      listeners.set(event, set)
      set.add(callback)
      const kept = early.filter((one) => one.event === event)
      for (const one of kept) early.splice(early.indexOf(one), 1)
      for (const one of kept) deliver(event, one.payload)
      return () => void set.delete(callback)
    },
    close() {
      lines.end()
      return lines.closed
    },
  }
}

const isEvent = (event: string): event is EventName => Object.hasOwn(EVENTS, event)

const pickIntroduction = ({ kind, canAsk, appVersion }: HostIntroduction): HostIntroduction => ({
  kind,
  canAsk,
  appVersion,
})
