// One HTTP request and its JSON answer over a TLS socket that somebody has connected (and verified). Promises a size cap and a
// clear error for a web page or half an answer. Called by api.ts and clock.ts.
import { request, type IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { PosternError } from '../../shared/errors.ts'
import type { Address } from './address.ts'
import { unreachable } from './tls.ts'

export type ApiRequest = { method: 'GET' | 'POST' | 'PUT' | 'DELETE'; path: string; body?: unknown }

/** Largest answer, in bytes: it has to fit into one line of the control socket. */
const ANSWER_MAX_BYTES = 3 * 1024 * 1024

/** One HTTP exchange on a connected socket, which it closes. */
export async function exchange(
  socket: TLSSocket,
  address: Address,
  call: ApiRequest,
  signal: AbortSignal,
): Promise<{ status: number; json: unknown }> {
  const body = call.body === undefined ? undefined : JSON.stringify(call.body)
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = request(
        {
          createConnection: () => socket,
          method: call.method,
          path: call.path,
          signal,
          headers: {
            host: address.text,
            accept: 'application/json',
            ...(body === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
          },
        },
        resolve,
      )
      sent.once('error', reject)
      sent.end(body)
    })
    return await readJsonAnswer(response, address)
  } catch (error) {
    if (error instanceof PosternError || signal.aborted) throw error
    throw unreachable(address, 'it broke off before its answer was complete', error)
  } finally {
    socket.destroy()
  }
}

/** Reads an answer whole. @throws PosternError `protocol` if it is too long, or no JSON */
export async function readJsonAnswer(
  response: IncomingMessage,
  address: Address,
): Promise<{ status: number; json: unknown }> {
  const text = await readAnswer(response, address)
  return { status: response.statusCode ?? 0, json: parseAnswer(text, address) }
}

async function readAnswer(response: IncomingMessage, address: Address): Promise<string> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of response as AsyncIterable<Buffer>) {
    size += part.length
    if (size > ANSWER_MAX_BYTES) {
      throw new PosternError('protocol', `the answer of ${address.text} is longer than ${ANSWER_MAX_BYTES} bytes`)
    }
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

function parseAnswer(text: string, address: Address): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const what = /^\s*</.test(text) ? 'a web page' : 'something that is not JSON'
    throw new PosternError(
      'protocol',
      `${address.text} answered with ${what}: it is no Postern access server, or something in between answered for it`,
      { cause: error },
    )
  }
}
