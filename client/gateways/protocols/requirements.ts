// What a person may ask of a gateway depends on its protocol; asked for more, these refuse in words. Called by gateways.ts and
// open-gateway.ts.
import { PosternError } from '../../../shared/errors.ts'
import type { Route } from '../../renewal/route-certificates.ts'
import { gatewayProtocol } from './protocols.ts'

/** @throws PosternError `bad_request` if the protocol has no place for a password of the gateway's own */
export function requirePasswordPlace({ resource, protocol }: Pick<Route, 'resource' | 'protocol'>): void {
  if (gatewayProtocol(protocol).passwordCheck === null)
    throw new PosternError(
      'bad_request',
      `${resource} (${protocol}) has no place for a password: leave it out, or open it with a Unix socket, which is yours alone`,
    )
}

/** @throws PosternError `bad_request` if the protocol knows no databases that one could name */
export function requireDatabases({ resource, protocol }: Pick<Route, 'resource' | 'protocol'>): void {
  if (!gatewayProtocol(protocol).hasDatabases)
    throw new PosternError('bad_request', `${resource} (${protocol}) has no databases: leave the database out`)
}
