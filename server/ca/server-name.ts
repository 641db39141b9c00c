// The names under which the server is reached: DNS names and IP addresses, as they go into its certificate. Called by
// certificate.ts and by the configuration, which refuses anything else.
import { isIP, isIPv4 } from 'node:net'

export type ServerName = { kind: 'dns'; name: string } | { kind: 'ip'; bytes: Buffer }

/** A DNS name or IP address; undefined for anything else. A leading `*.` label is allowed. */
export function parseServerName(name: string): ServerName | undefined {
  if (isIP(name) !== 0) return { kind: 'ip', bytes: isIPv4(name) ? ipv4Bytes(name) : ipv6Bytes(name) }
  const label = '[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?'
  return name.length <= 253 && new RegExp(`^(\\*\\.)?${label}(\\.${label})*$`).test(name)
    ? { kind: 'dns', name }
    : undefined
}

const ipv4Bytes = (address: string): Buffer => Buffer.from(address.split('.').map(Number))

/** The 16 bytes of a valid IPv6 address, `::` and a trailing IPv4 part included (RFC 4291, 2.2). A zone is dropped. */
function ipv6Bytes(address: string): Buffer {
  const [bare = ''] = address.split('%')
  const hex = bare.replace(/\d+\.\d+\.\d+\.\d+$/, (tail) => {
    const bytes = ipv4Bytes(tail)
    return `${bytes.readUInt16BE(0).toString(16)}:${bytes.readUInt16BE(2).toString(16)}`
  })
  const [head = '', tail] = hex.split('::')
  const groups = (part: string): number[] => (part === '' ? [] : part.split(':').map((group) => parseInt(group, 16)))
  const before = groups(head)
  const after = groups(tail ?? '')
  const bytes = Buffer.alloc(16)
  before.forEach((group, index) => bytes.writeUInt16BE(group, index * 2))
  after.forEach((group, index) => bytes.writeUInt16BE(group, 16 - (after.length - index) * 2))
  return bytes
}
