// Why a gateway is in its state, in words that stand alone on a page or in a terminal; and what counts as a refusal of its route.
// Called by gateway.ts.
import { PosternError } from '../../shared/errors.ts'
import type { GatewayState } from '../../shared/rpc.ts'

/** What the server says of the route itself; not that a session has ended (the next connection begins another) or is full. */
export const isRefusal = (error: unknown): error is PosternError =>
  error instanceof PosternError &&
  ((error.kind === 'denied' && !['session_ended', 'connection_limit'].includes(error.code)) ||
    error.code === 'target_unreachable')

/** As the server said it: it may begin with a name, so nothing of it is changed. */
export const textOfRefusal = ({ message, errorId }: PosternError): string =>
  errorId === undefined ? message : `${message} (error id ${errorId})`

export type Circumstances = {
  refusal: PosternError | undefined
  portConflict: string | undefined
  /** Why its certificate could not be renewed the last time. */
  renewalFailure: Error | undefined
  hasCertificate: boolean
  loginCommand: string
}

/** null where the state says it all. */
export function stateTextOf(state: GatewayState, circumstances: Circumstances): string | null {
  const { refusal, portConflict, renewalFailure, hasCertificate, loginCommand } = circumstances
  switch (state) {
    case 'refused':
      return refusal ? textOfRefusal(refusal) : null
    case 'port conflict':
      return portConflict === undefined ? null : asSentence(portConflict)
    case 'needs login':
      return `Log in: ${loginCommand}`
    case 'cool-down':
      return 'A login was cancelled or failed just now. Connections are refused for a moment.'
    case 'listening': {
      // No reason to stop, and no secret (G12).
      if (!renewalFailure) return null
      const old = hasCertificate ? ' The old one is still used.' : ''
      return `The certificate could not be renewed: ${withFullStop(renewalFailure.message)}${old}`
    }
    case 'starting':
    case 'waiting for login':
    case 'closed':
      return null
  }
}

const withFullStop = (text: string): string => (/[.!?:]$/.test(text) ? text : `${text}.`)
const asSentence = (clause: string): string => withFullStop(clause.charAt(0).toUpperCase() + clause.slice(1))
