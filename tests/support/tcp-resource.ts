// What `postern admin apply` makes a service of plain TCP on loopback a resource with, for alice alone.
import { ALICE } from './cluster.ts'

/** Documents of a tcp resource at that port, a role of the same name that allows it, and the grant. */
export const tcpResource = (name: string, port: number): string => `
{ kind: resource, name: ${name}, protocol: tcp, address: "127.0.0.1:${port}" }
---
{ kind: role, name: ${name}, allow: [{ resources: [${name}], accounts: [tcp] }] }
---
{ kind: grant, user: ${ALICE.name}, role: ${name} }
`
