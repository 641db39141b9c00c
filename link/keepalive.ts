// TCP keepalive of every socket of ours, said outright, so that it does not depend on the system's two hours: a machine that is
// gone (not: a process that is stopped, whose kernel answers) is noticed within the 45 s of the other keepalives (I3). Called by
// whoever opens or accepts a socket.
import type { Socket } from 'node:net'

/** After so much silence the first probe, then one each interval; so many without an answer, and the connection is over. In ms. */
const KEEPALIVE = { afterMs: 30_000, everyMs: 5000, probes: 3 }

/** Also before it is connected. An older Node (Electron's) knows only the first of the three and takes its own for the others. */
export function keepAlive(socket: Socket): void {
  socket.setKeepAlive(true, KEEPALIVE.afterMs, KEEPALIVE.everyMs, KEEPALIVE.probes)
}
