// Every protocol that a gateway can carry. The public door of this folder.
import type { ResourceProtocol } from '../../../shared/names.ts'
import { postgres } from './postgres/postgres.ts'
import type { GatewayProtocol } from './protocol.ts'
import { tcp } from './tcp.ts'

const PROTOCOLS: Readonly<Record<ResourceProtocol, GatewayProtocol>> = { postgres, tcp }

export const gatewayProtocol = (protocol: ResourceProtocol): GatewayProtocol => PROTOCOLS[protocol]
