// The one error that the PostgreSQL parsers throw, whatever the bytes are. Pure.

/** Bytes from outside that are not the PostgreSQL protocol. The text names what was wrong; it is safe to show. */
export class PostgresProtocolError extends Error {
  override readonly name = 'PostgresProtocolError'
}
