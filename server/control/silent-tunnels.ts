// A core without a control stream can be asked over its tunnels only: where one of them answers no more, its sessions become inactive,
// as they do where a stream does not answer (I3). Whoever has a stream is judged by that alone. Called by start.ts.
import type { X509Certificate } from 'node:crypto'
import type { Logger } from 'pino'
import type { AccessCheck, Clock, SessionControl } from '../seams.ts'
import type { ControlStreams } from './hub.ts'

export type SilentTunnelsOptions = {
  access: Pick<AccessCheck, 'authenticateRoute'>
  sessions: Pick<SessionControl, 'noteCore'>
  streams: Pick<ControlStreams, 'has'>
  now: Clock
  log: Logger
}

/** @returns what is told of each tunnel that was silent for so long, in ms, with the certificate of its handshake; never throws */
export function createSilentTunnels({ access, sessions, streams, now, log }: SilentTunnelsOptions) {
  async function note(certificate: X509Certificate | undefined, since: Date): Promise<void> {
    // Judged here: what a certificate says of itself makes nobody's sessions anything.
    const { route } = await access.authenticateRoute(certificate, { allowExpired: true })
    if (!streams.has(route.loginId)) sessions.noteCore(route.loginId, since)
  }
  return (certificate: X509Certificate | undefined, silentMs: number): void => {
    note(certificate, new Date(now().getTime() - silentMs)).catch((error: unknown) =>
      log.info({ err: error }, 'it is not known whose tunnel is silent'),
    )
  }
}
