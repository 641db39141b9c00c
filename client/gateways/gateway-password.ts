// The password of a gateway, which Postern makes and a client program is given (G18): whether a gateway has one, and a new one.
// Called by gateways.ts.
import { randomBytes } from 'node:crypto'

/** 192 bits: nobody guesses it, so nothing has to count the tries. */
const PASSWORD_BYTES = 24

/** 32 characters of A–Z, a–z, 0–9, - and _: they need no quotes in a URL, a shell or a connection string. */
export const makeGatewayPassword = (): string => randomBytes(PASSWORD_BYTES).toString('base64url')

/** What `gatewayPassword` is where the person has not chosen: on wherever nothing tells whose a connection is. */
export const defaultGatewayPassword = (platform: NodeJS.Platform): 'off' | 'on' => (platform === 'linux' ? 'off' : 'on')
