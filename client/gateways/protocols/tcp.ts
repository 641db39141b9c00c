// Plain TCP at a gateway (DB6): bytes of which nothing is known. Either side may speak first, so nothing is waited for and every
// connection counts as a client (G2); a FIN only ends what the client has to say; an error is a plain close (G7).
import { ALPN } from '../../../shared/names.ts'
import type { GatewayProtocol } from './protocol.ts'

const NOTHING = Buffer.alloc(0)

export const tcp: GatewayProtocol = {
  alpn: ALPN.tcp,
  isEndAHangUp: false,
  hasDatabases: false,
  readOpening: () => Promise.resolve({ kind: 'session', bytes: NOTHING, client: null }),
  lastWordsFor: () => NOTHING,
  stringsFor: ({ host, port }) => ({ url: `tcp://${host}:${port}`, env: { HOST: host, PORT: String(port) } }),
  // The server says ok only when it has reached the target: with the preamble everything is shown.
  probe: () => Promise.resolve(),
}
