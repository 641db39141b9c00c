// Addresses of access servers as people write them: HOST, HOST:PORT, [IPv6]:PORT. Used by profiles and every dial.
import { isIP } from 'node:net'
import { PosternError } from '../../shared/errors.ts'
import { DEFAULT_SERVER_PORT } from '../../shared/names.ts'

export type Address = {
  host: string
  port: number
  /** The name for TLS's server_name (RFC 6066 forbids IP addresses there). */
  serverName: string | undefined
  /** HOST:PORT, IPv6 in brackets: how it is stored and shown. */
  text: string
}

/** @throws PosternError `bad_request` naming what was wrong */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:/\s[\]]+))(?::(\d{1,5}))?$/.exec(text.trim())
  const host = match?.[1] ?? match?.[2]
  const port = match?.[3] === undefined ? DEFAULT_SERVER_PORT : Number(match[3])
  if (!host || port < 1 || port > 65_535) {
    throw new PosternError('bad_request', `"${text}" is no address of an access server; write HOST or HOST:PORT`)
  }
  const isV6 = isIP(host) === 6
  return {
    host: host.toLowerCase(),
    port,
    serverName: isIP(host) === 0 ? host.toLowerCase() : undefined,
    text: `${isV6 ? `[${host.toLowerCase()}]` : host.toLowerCase()}:${port}`,
  }
}

/** An access server that a profile trusts. */
export type Cluster = {
  address: Address
  /** The CAs that its certificate may come from, PEM; never none. Several while they are rotated (C7). */
  caPems: readonly string[]
}
