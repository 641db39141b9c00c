// HTTP to the identity provider: one request, bounded in time and size, over TLS that trusts the system's CAs and the one of the
// settings. Handed to openid-client by provider.ts. Whatever keeps an answer away becomes a ProviderUnreachable.
import http from 'node:http'
import https from 'node:https'
import { getCACertificates } from 'node:tls'
import type { CustomFetch, CustomFetchOptions } from 'openid-client'

/** From the connection to the last byte, in ms: a person waits for it, and the client gives the whole call 20 s. */
const DEADLINE_MS = 6000
/** Largest answer, in bytes; metadata and key sets have some ten thousand. */
const ANSWER_MAX_BYTES = 512 * 1024

/** No answer came, or the provider said itself that it is not well. The message is for people. */
export class ProviderUnreachable extends Error {
  override readonly name = 'ProviderUnreachable'
}

const PLAIN_WORDS: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'it closed the connection',
  ENOTFOUND: 'no such host name',
  EAI_AGAIN: 'its name cannot be looked up now',
  ETIMEDOUT: 'no answer',
}

/** @param caPem trusted beside the system's CAs */
export function createProviderFetch(caPem: string | undefined): CustomFetch {
  const ca = caPem === undefined ? undefined : [...getCACertificates('default'), caPem]
  return async (url, options) => {
    const deadline = AbortSignal.timeout(DEADLINE_MS)
    const signal = options.signal ? AbortSignal.any([deadline, options.signal]) : deadline
    try {
      return await exchange(new URL(url), options, ca, signal)
    } catch (cause) {
      if (cause instanceof ProviderUnreachable) throw cause
      const code = cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : ''
      const why = signal.aborted
        ? `no answer within ${DEADLINE_MS / 1000} s`
        : (PLAIN_WORDS[code] ?? (code === '' ? 'the connection failed' : code))
      throw new ProviderUnreachable(why, { cause })
    }
  }
}

async function exchange(
  url: URL,
  { method, headers, body }: CustomFetchOptions,
  ca: string[] | undefined,
  signal: AbortSignal,
): Promise<Response> {
  const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
    const request =
      url.protocol === 'https:'
        ? https.request(url, { method, headers, signal, ...(ca === undefined ? {} : { ca }), agent: false })
        : http.request(url, { method, headers, signal, agent: false })
    request.once('response', resolve)
    request.once('error', reject)
    request.end(textOf(body))
  })
  const parts: Buffer[] = []
  let size = 0
  for await (const part of answer as AsyncIterable<Buffer>) {
    size += part.length
    if (size > ANSWER_MAX_BYTES) throw new ProviderUnreachable(`its answer is longer than ${ANSWER_MAX_BYTES} bytes`)
    parts.push(part)
  }
  const status = answer.statusCode ?? 0
  if (status >= 500 || status === 429) throw new ProviderUnreachable(`it answers with status ${status}`)
  const received = new Headers()
  for (const [name, values] of Object.entries(answer.headersDistinct))
    for (const value of values ?? []) received.append(name, value)
  // These statuses have no body by definition (Fetch, "null body status"), and Response refuses one.
  const isEmpty = status === 204 || status === 205 || status === 304
  return new Response(isEmpty ? null : Buffer.concat(parts), { status, headers: received })
}

/** openid-client sends forms and nothing else. */
function textOf(body: CustomFetchOptions['body']): string | undefined {
  if (body === undefined || body === null) return undefined
  if (typeof body === 'string') return body
  if (body instanceof URLSearchParams) return body.toString()
  throw new TypeError('the identity provider is sent text only')
}
