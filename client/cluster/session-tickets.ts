// What TLS sessions can be resumed by: a connection that resumes one is spared the signatures of a handshake, which are most of
// what a new connection costs. Tickets belong to one TLS context, which belongs to one certificate, and go with it (C4): a
// resumed session keeps the identity that it began with. Called by tls.ts.
import type { SecureContext } from 'node:tls'

/** So many connections of a gateway may begin at once and each find one (dial-turns.ts); the oldest go first. */
const TICKETS_MAX = 16

const tickets = new WeakMap<SecureContext, Buffer[]>()

/** A ticket to begin a connection with, the newest; no other connection gets it (RFC 8446, C.4). Undefined: none is left. */
export const takeTicket = (context: SecureContext): Buffer | undefined => tickets.get(context)?.pop()

/** Keeps a ticket that a server sent on a connection of this context. It came over a verified connection; its life is the server's. */
export function keepTicket(context: SecureContext, ticket: Buffer): void {
  const kept = tickets.get(context) ?? []
  if (kept.length === 0) tickets.set(context, kept)
  kept.push(ticket)
  if (kept.length > TICKETS_MAX) kept.shift()
}
