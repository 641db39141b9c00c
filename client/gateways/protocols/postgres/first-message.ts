// The first message of a PostgreSQL client at a gateway: before anybody is asked to log in there must be a valid one, so that a
// port scan or a web page raises no dialog (G2). SSLRequest and GSSENCRequest are answered with N here (G7).
import type { Duplex } from 'node:stream'
import { readBytes } from '../../../../link/read-bytes.ts'
import {
  classifyFirstBytes,
  FIRST_BYTES,
  parseStartupMessage,
  REFUSE_ENCRYPTION,
} from '../../../../shared/wire/postgres/startup.ts'
import { ALPN } from '../../../../shared/names.ts'
import type { Opening } from '../protocol.ts'

/** SSLRequest, GSSENCRequest and then the startup message is what clients do; more is a loop. */
const ENCRYPTION_REQUESTS_MAX = 2

/**
 * Reads the first message and leaves what follows in the stream.
 * @throws StreamEndedError if the client goes away first, the stream's error, or the signal's reason
 */
export async function readPostgresFirstMessage(stream: Duplex, signal: AbortSignal): Promise<Opening> {
  for (let asked = 0; asked <= ENCRYPTION_REQUESTS_MAX; asked++) {
    const first = await readBytes(stream, FIRST_BYTES, signal)
    const message = classifyFirstBytes(first)
    if (message.kind === 'garbage') return { kind: 'garbage', text: message.text }
    if (!('length' in message)) {
      stream.write(REFUSE_ENCRYPTION)
      continue
    }
    const rest = message.length - FIRST_BYTES
    const bytes = rest > 0 ? Buffer.concat([first, await readBytes(stream, rest, signal)]) : first
    return message.kind === 'cancel' ? { kind: 'cancel', bytes, alpn: ALPN.postgresCancel } : startupOf(bytes)
  }
  return { kind: 'garbage', text: 'the client asked for encryption again and again' }
}

function startupOf(bytes: Buffer): Opening {
  try {
    const { parameters } = parseStartupMessage(bytes)
    return { kind: 'session', bytes, client: parameters.get('application_name') ?? null }
  } catch (error) {
    return { kind: 'garbage', text: error instanceof Error ? error.message : String(error) }
  }
}
