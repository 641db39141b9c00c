// Calls of the access server's JSON API: anonymous (ALPN http/1.1) or with the person's user certificate (postern-control).
// Promises a deadline, a size cap, a checked answer, and errors of the catalogue whatever the server sends back.
import type { z } from 'zod'
import { ApiError } from '../../shared/api.ts'
import { isErrorCode, PosternError } from '../../shared/errors.ts'
import { ALPN, type UserIdentity } from '../../shared/names.ts'
import { errorFromBody } from '../error-body.ts'
import type { Address, Cluster } from './address.ts'
import { chainOf } from './chain.ts'
import { explainDateError, type NoteServerTime } from './clock.ts'
import { exchange, type ApiRequest } from './exchange.ts'
import type { KeyedCertificate } from './keyed-certificate.ts'
import { anonymousContext, connectTls, isDateError, unreachable } from './tls.ts'
import { hearTrust, type HeardTrust } from './trust-news.ts'

export type ApiContext = {
  cluster: Cluster
  /** Present: the call goes over postern-control as that person. */
  certificate?: KeyedCertificate<UserIdentity> | undefined
  now: () => number
  noteServerTime: NoteServerTime
  /** Told what a good answer said about trust (C7). */
  noteTrust: (heard: HeardTrust) => void
  signal: AbortSignal
}

const API_DEADLINE_MS = 20_000

/**
 * Makes one call and parses its answer with `schema`.
 * @throws PosternError what the server said, or `server_unreachable`, `server_untrusted`, `clock_skew`, `protocol`
 */
export async function callApi<T>(context: ApiContext, call: ApiRequest, schema: z.ZodType<T>): Promise<T> {
  const { cluster, certificate } = context
  const deadline = AbortSignal.timeout(API_DEADLINE_MS)
  const signal = AbortSignal.any([deadline, context.signal])
  try {
    const { socket } = await connectTls({
      address: cluster.address,
      alpn: certificate ? ALPN.control : ALPN.web,
      context: certificate?.contextFor(cluster.caPems) ?? anonymousContext(cluster.caPems),
      signal,
    })
    // Before the exchange, which closes the socket.
    const chain = chainOf(socket)
    const { status, json } = await exchange(socket, cluster.address, call, signal)
    noteTime(json, context.noteServerTime)
    if (status >= 400) throw refusalOf(status, json, cluster.address)
    const answer = schema.safeParse(json)
    if (answer.success) {
      context.noteTrust(hearTrust(json, chain, cluster.address))
      return answer.data
    }
    throw new PosternError('protocol', `the access server answered ${call.path} in a form that is not understood`, {
      cause: answer.error,
    })
  } catch (error) {
    if (context.signal.aborted) throw error
    if (deadline.aborted) throw unreachable(cluster.address, `no answer within ${API_DEADLINE_MS / 1000} s`, error)
    if (isDateError(error)) throw await explainDateError(cluster, error, context.now, signal)
    throw error
  }
}

function noteTime(json: unknown, note: NoteServerTime): void {
  if (typeof json !== 'object' || json === null || !('serverTime' in json)) return
  const serverMs = Date.parse(String(json.serverTime))
  if (!Number.isNaN(serverMs)) note(serverMs)
}

/** The error that an answer with an error status carries, also one that is none of ours. */
export function refusalOf(status: number, json: unknown, address: Address): PosternError {
  const body = ApiError.safeParse(json)
  if (!body.success) return new PosternError('protocol', `${address.text} answered with status ${status} and no reason`)
  const { error } = body.data
  return isErrorCode(error.code) ? errorFromBody(error) : errorFromBody({ ...error, code: codeOfStatus(status) })
}

/** The code for an error that a newer server names and we do not know. */
const codeOfStatus = (status: number): string =>
  status === 401 || status === 403 ? 'forbidden' : status < 500 ? 'bad_request' : 'internal'
