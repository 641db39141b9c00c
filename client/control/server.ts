// The core's end of the control socket: accepts hosts, insists on `hello` first, checks what they send against the contract
// and hands calls to core.ts. A peer that goes away is a host that detached; its running calls are aborted.
import { randomUUID } from 'node:crypto'
import { chmod, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import type { Logger } from 'pino'
import { z } from 'zod'
import { PosternError, type ErrorBody } from '../../shared/errors.ts'
import {
  CALLS,
  HostMessage,
  RPC_LINE_MAX_BYTES,
  RPC_VERSION,
  type Method,
  type ParsedParams,
  type Result,
} from '../../shared/rpc.ts'
import type { Host, Hosts } from './hosts.ts'
import { jsonLinesOn } from './json-lines.ts'

/** What the core does for each call of the contract; `hello` is answered here. */
export type Calls = {
  [M in Exclude<Method, 'hello'>]: (params: ParsedParams<M>, host: Host, signal: AbortSignal) => Promise<Result<M>>
}

export type ControlServer = {
  /** Ends all hosts and removes the socket. Idempotent. */
  close(): Promise<void>
}

type Options = {
  path: string
  home: string
  appVersion: string
  calls: Calls
  hosts: Hosts
  log: Logger
  onAttached: (host: Host) => void
  onDetached: (host: Host) => void
}

/** These two are understood across versions, so that a newer host can take an old core's place. */
const ACROSS_VERSIONS: readonly string[] = ['core.retire', 'core.stop']
/** Time for a host to say hello, in ms. */
const HELLO_DEADLINE_MS = 10_000

/** Listens on a Unix socket that only the person can open: its directory is 0700 (nobody gets in before the chmod), itself 0600. */
export async function serveControlSocket(options: Options): Promise<ControlServer> {
  const { path, log } = options
  // The lock of the home is ours, so a socket file that lies there is what a killed core left behind.
  await rm(path, { force: true })
  const sockets = new Set<Socket>()
  let nextHostId = 1
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    serveHost(socket, nextHostId++, options)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => resolve())
  })
  await chmod(path, 0o600)
  server.on('error', (error) => log.error({ err: error }, 'control socket failed'))

  let closing: Promise<void> | undefined
  return {
    close() {
      closing ??= new Promise<void>((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroySoon()
        const deadline = setTimeout(() => sockets.forEach((socket) => socket.destroy()), 1000)
        server.once('close', () => clearTimeout(deadline))
      })
      return closing
    },
  }
}

function serveHost(socket: Socket, id: number, options: Options): void {
  const { calls, hosts, log } = options
  const gone = new AbortController()
  let host: Host | undefined
  let isSameVersion = false

  const helloDeadline = setTimeout(() => lines.destroy(), HELLO_DEADLINE_MS)

  const hello = (raw: unknown): Result<'hello'> => {
    const params = CALLS.hello.params.parse(raw)
    isSameVersion = params.rpcVersion === RPC_VERSION
    clearTimeout(helloDeadline)
    if (!host) {
      host = {
        id,
        kind: params.kind,
        canAsk: params.canAsk && isSameVersion,
        appVersion: params.appVersion,
        send: (event, payload) => lines.send({ event, payload }),
      }
      log.info({ host: id, kind: host.kind, canAsk: host.canAsk }, 'host attached')
    }
    return { rpcVersion: RPC_VERSION, appVersion: options.appVersion, pid: process.pid, home: options.home }
  }

  const answer = async (message: z.infer<typeof HostMessage>): Promise<unknown> => {
    if (message.method === 'hello') return hello(message.params)
    if (!host) throw new PosternError('protocol', 'a host says hello first')
    if (!isMethod(message.method)) {
      throw new PosternError('unsupported', `this core (${options.appVersion}) has no call named ${message.method}`)
    }
    if (!isSameVersion && !ACROSS_VERSIONS.includes(message.method)) {
      throw new PosternError('core_version', `this core speaks version ${RPC_VERSION} of the control protocol`)
    }
    return callWith(message.method, message.params, calls, host, gone.signal)
  }

  const lines = jsonLinesOn(socket, (raw) => {
    const message = HostMessage.safeParse(raw)
    if (!message.success) {
      lines.destroy()
      return
    }
    const { id: callId, method } = message.data
    void answer(message.data).then(
      (result) => {
        const size = Buffer.byteLength(JSON.stringify(result ?? null))
        if (size > RPC_LINE_MAX_BYTES - 1024) {
          const text = `the answer to ${method} is too long (${size} bytes); ask for less`
          lines.send({ id: callId, error: { code: 'bad_request', text } })
        } else {
          lines.send({ id: callId, result })
        }
        // Only after its own hello was answered is the host sent anything else.
        if (method === 'hello' && host && !hosts.find(id)) {
          hosts.attach(host)
          options.onAttached(host)
        }
      },
      (error: unknown) => lines.send({ id: callId, error: errorBodyOf(error, log) }),
    )
  })

  void lines.closed.then(() => {
    clearTimeout(helloDeadline)
    gone.abort(new PosternError('core_unreachable', 'the host went away'))
    if (!host) return
    const detached = hosts.find(id)
    hosts.detach(id)
    log.info({ host: id }, 'host detached')
    if (detached) options.onDetached(detached)
  })
}

const isMethod = (method: string): method is Exclude<Method, 'hello'> =>
  Object.hasOwn(CALLS, method) && method !== 'hello'

/** Parses the parameters of a call and makes it; the one place where a method's name and its types meet at run time. */
function callWith<M extends Exclude<Method, 'hello'>>(
  method: M,
  raw: unknown,
  calls: Calls,
  host: Host,
  signal: AbortSignal,
): Promise<Result<M>> {
  const params = CALLS[method].params.parse(raw ?? {}) as ParsedParams<M>
  return calls[method](params, host, signal)
}

/** What a host is told of an error: a PosternError as it is, anything else under a fresh error id that finds it in the log. */
function errorBodyOf(error: unknown, log: Logger): ErrorBody {
  if (error instanceof PosternError) {
    if (error.cause !== undefined) log.info({ err: error }, 'call refused')
    return error.toBody()
  }
  if (error instanceof z.ZodError) {
    const problems = error.issues.map((issue) => [issue.path.join('.'), issue.message].filter(Boolean).join(': '))
    return { code: 'bad_request', text: problems.join('; ') }
  }
  const errorId = randomUUID()
  log.error({ err: error, errorId }, 'call failed')
  return { code: 'internal', text: 'something went wrong inside the Postern core; see core.log', errorId }
}
