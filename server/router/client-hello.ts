// Reads the ALPN names and the server name out of a TLS ClientHello without answering it, so that the public port can choose
// its TLS listener first. Pure; called by public-port.ts with the bytes that came so far.
// Source: RFC 8446, 4.1.2 (ClientHello) and 5.1 (records); RFC 7301 (ALPN); RFC 6066, 3 (SNI).

/** Longest ClientHello that is looked at, in bytes; post-quantum key shares make them ~1.8 KiB, nobody needs 16. */
export const CLIENT_HELLO_MAX_BYTES = 16 * 1024

export type ClientHello = { alpn: string[]; serverName: string | undefined }
export type Peeked = { kind: 'incomplete' } | { kind: 'hello'; hello: ClientHello } | { kind: 'not tls' }

const RECORD_HANDSHAKE = 22
const HANDSHAKE_CLIENT_HELLO = 1
const EXTENSION_SERVER_NAME = 0
const EXTENSION_ALPN = 16

/** A cursor that fails by `undefined` at the end of its bytes instead of throwing. */
class Cursor {
  private readonly bytes: Buffer
  private at = 0
  constructor(bytes: Buffer) {
    this.bytes = bytes
  }
  get left(): number {
    return this.bytes.length - this.at
  }
  uint(size: 1 | 2 | 3): number | undefined {
    if (this.left < size) return undefined
    const value = this.bytes.readUIntBE(this.at, size)
    this.at += size
    return value
  }
  take(size: number): Buffer | undefined {
    if (this.left < size) return undefined
    return this.bytes.subarray(this.at, (this.at += size))
  }
  /** A vector with a length prefix of that many bytes. */
  vector(prefix: 1 | 2 | 3): Cursor | undefined {
    const size = this.uint(prefix)
    const body = size === undefined ? undefined : this.take(size)
    return body && new Cursor(body)
  }
  text(prefix: 1 | 2): string | undefined {
    const size = this.uint(prefix)
    return size === undefined ? undefined : this.take(size)?.toString('latin1')
  }
}

/**
 * What the first bytes of a connection are. A ClientHello may span TCP segments and TLS records: `incomplete` asks for more
 * bytes. Never throws; anything that cannot become a ClientHello within 16 KiB is `not tls`.
 */
export function peekClientHello(bytes: Buffer): Peeked {
  const message = handshakeBytes(bytes)
  if (message === 'not tls') return { kind: 'not tls' }
  const cursor = new Cursor(message)
  const type = cursor.uint(1)
  if (type === undefined) return { kind: 'incomplete' }
  const length = cursor.uint(3)
  if (type !== HANDSHAKE_CLIENT_HELLO || (length ?? 0) > CLIENT_HELLO_MAX_BYTES) return { kind: 'not tls' }
  const body = length === undefined ? undefined : cursor.take(length)
  if (!body) return bytes.length > 2 * CLIENT_HELLO_MAX_BYTES ? { kind: 'not tls' } : { kind: 'incomplete' }
  const hello = parseHello(new Cursor(body))
  return hello ? { kind: 'hello', hello } : { kind: 'not tls' }
}

/** The handshake bytes inside as many records as came, the last one perhaps cut. */
function handshakeBytes(bytes: Buffer): Buffer | 'not tls' {
  const fragments: Buffer[] = []
  let rest = bytes
  while (rest.length > 0) {
    if (rest[0] !== RECORD_HANDSHAKE || (rest.length > 1 && rest[1] !== 3)) return 'not tls'
    if (rest.length < 5) break
    const size = rest.readUInt16BE(3)
    if (size === 0 || size > CLIENT_HELLO_MAX_BYTES) return 'not tls'
    fragments.push(rest.subarray(5, 5 + size))
    rest = rest.subarray(5 + size)
  }
  return Buffer.concat(fragments)
}

function parseHello(body: Cursor): ClientHello | undefined {
  const hello: ClientHello = { alpn: [], serverName: undefined }
  const head = body.take(2 + 32) && body.vector(1) && body.vector(2) && body.vector(1)
  if (!head) return undefined
  const extensions = body.left === 0 ? new Cursor(Buffer.alloc(0)) : body.vector(2)
  if (!extensions) return undefined
  while (extensions.left > 0) {
    const type = extensions.uint(2)
    const value = extensions.vector(2)
    if (type === undefined || !value) return undefined
    if (type === EXTENSION_ALPN && !readAlpn(value, hello)) return undefined
    if (type === EXTENSION_SERVER_NAME && !readServerName(value, hello)) return undefined
  }
  return hello
}

function readAlpn(value: Cursor, hello: ClientHello): boolean {
  const names = value.vector(2)
  while (names && names.left > 0) {
    const name = names.text(1)
    if (name === undefined) return false
    hello.alpn.push(name)
  }
  return names !== undefined
}

function readServerName(value: Cursor, hello: ClientHello): boolean {
  const names = value.vector(2)
  if (names?.uint(1) === 0) hello.serverName = names.text(2)
  return names !== undefined
}
