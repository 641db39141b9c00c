// A core in this process that answers calls as a test says and sends events when it says. Used by tests of commands.
import { EventEmitter } from 'node:events'
import { PassThrough } from 'node:stream'
import type { Context, Core } from '../../../cli/context.ts'
import type { EventName, EventPayload, GatewayView, Method } from '../../../shared/rpc.ts'

export type Calls = Partial<Record<Method, (params: Record<string, unknown>) => unknown>>

export type FakeCore = Core & {
  /** Every call in order. */
  calls: { method: Method; params: Record<string, unknown> }[]
  emit<E extends EventName>(event: E, payload: EventPayload<E>): void
  /** The core dies. */
  die(): void
  /** Resolves when a call of that method has been made. */
  called(method: Method): Promise<Record<string, unknown>>
}

export function makeFakeCore(answers: Calls): FakeCore {
  const events = new EventEmitter()
  const made = new EventEmitter()
  const { promise: closed, resolve: die } = Promise.withResolvers<undefined>()
  const calls: FakeCore['calls'] = []
  const core = {
    core: { rpcVersion: 1, appVersion: 'test', pid: process.pid, home: '/nowhere' },
    calls,
    closed,
    die: () => die(undefined),
    async call(method: Method, params: Record<string, unknown>) {
      calls.push({ method, params })
      made.emit(method, params)
      const answer = answers[method]
      if (answer === undefined) throw new Error(`the fake core knows no ${method}`)
      return await answer(params)
    },
    on(event: string, listener: (payload: never) => void) {
      const onEvent = (payload: unknown) => listener(payload as never)
      events.on(event, onEvent)
      return () => events.off(event, onEvent)
    },
    emit: (event: string, payload: unknown) => void events.emit(event, payload),
    called: (method: Method) => {
      const earlier = calls.find((call) => call.method === method)
      return earlier
        ? Promise.resolve(earlier.params)
        : new Promise((resolve) => made.once(method, (params: Record<string, unknown>) => resolve(params)))
    },
    close() {
      die(undefined)
      return Promise.resolve()
    },
  }
  return core as unknown as FakeCore
}

export type TestContext = Context & {
  stdin: PassThrough
  out(): string
  err(): string
  interruptNow(): void
  /** Resolves once stdout shows it. */
  outShows(text: string): Promise<void>
  errShows(text: string): Promise<void>
}

/** A context whose `connect` gives the cores one after the other. */
export function makeContext(cores: FakeCore[], options: { canAsk?: boolean } = {}): TestContext {
  const stdin = new PassThrough()
  const interrupt = new AbortController()
  const written = new EventEmitter()
  const texts = { out: '', err: '' }
  const sink = (name: 'out' | 'err') => ({
    write(text: string, left?: () => void) {
      texts[name] += text
      written.emit(name)
      left?.()
    },
  })
  const shows = (name: 'out' | 'err', text: string) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (!texts[name].includes(text)) return
        written.off(name, look)
        resolve()
      }
      written.on(name, look)
      look()
    })
  return {
    stdin,
    terminal: { stdin, stdout: sink('out'), stderr: sink('err'), canAsk: options.canAsk ?? true },
    openApp: () => Promise.reject(new Error('these tests open no app')),
    interrupt: interrupt.signal,
    interruptNow: () => interrupt.abort(new Error('interrupted')),
    now: () => new Date(),
    stopCore: () => Promise.resolve(false),
    connect() {
      const core = cores.shift()
      return core === undefined ? Promise.reject(new Error('no core left')) : Promise.resolve(core)
    },
    out: () => texts.out,
    err: () => texts.err,
    outShows: (text) => shows('out', text),
    errShows: (text) => shows('err', text),
  }
}

export const gatewayView = (changes: Partial<GatewayView> = {}): GatewayView => ({
  id: 'g1',
  profile: 'demo',
  resource: 'orders',
  protocol: 'postgres',
  account: 'reader',
  database: 'orders',
  host: '127.0.0.1',
  port: 21_000,
  url: 'postgresql://reader@127.0.0.1:21000/orders?sslmode=disable',
  env: { PGHOST: '127.0.0.1' },
  state: 'listening',
  stateText: null,
  keep: 'attached',
  certificateExpiresAt: null,
  connections: 0,
  waiting: 0,
  ...changes,
})

export const profileView = {
  profile: 'demo',
  address: '127.0.0.1:3443',
  fingerprint: 'sha256:00',
  user: 'alice',
  level: 'none' as const,
  state: 'ready' as const,
  expiresAt: null,
  remainingMs: 60_000,
  clockOffsetMs: 0,
}
