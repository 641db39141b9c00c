// The state machine of a gateway (D3), as data: which facts make which state, and which state may follow which. Pure; called
// by gateway.ts, shown by every host.
import type { GatewayState } from '../../shared/rpc.ts'

export type GatewayFacts = {
  listener: 'starting' | 'listening' | 'port conflict' | 'closed'
  /** The route certificate is good now. */
  hasCertificate: boolean
  /** The user certificate is good, so that a route certificate can be had without a person. */
  hasLogin: boolean
  /** Connections of this gateway that wait for a login. */
  waiting: number
  isCoolingDown: boolean
  /** The server refuses this route (role, account, identity). */
  isRefused: boolean
}

/** The first rule that holds gives the state. */
const RULES: readonly { state: GatewayState; when: (facts: GatewayFacts) => boolean }[] = [
  { state: 'closed', when: (facts) => facts.listener === 'closed' },
  { state: 'port conflict', when: (facts) => facts.listener === 'port conflict' },
  { state: 'starting', when: (facts) => facts.listener === 'starting' },
  { state: 'refused', when: (facts) => facts.isRefused },
  { state: 'waiting for login', when: (facts) => facts.waiting > 0 },
  { state: 'listening', when: (facts) => facts.hasCertificate || facts.hasLogin },
  { state: 'cool-down', when: (facts) => facts.isCoolingDown },
  { state: 'needs login', when: () => true },
]

/** Which state may follow which; a test walks the rules against it. */
export const GATEWAY_TRANSITIONS: Readonly<Record<GatewayState, readonly GatewayState[]>> = {
  starting: ['listening', 'needs login', 'cool-down', 'port conflict', 'closed'],
  listening: ['needs login', 'waiting for login', 'cool-down', 'refused', 'closed'],
  'needs login': ['waiting for login', 'listening', 'cool-down', 'refused', 'closed'],
  'waiting for login': ['listening', 'cool-down', 'needs login', 'refused', 'closed'],
  'cool-down': ['needs login', 'waiting for login', 'listening', 'refused', 'closed'],
  refused: ['listening', 'needs login', 'waiting for login', 'cool-down', 'closed'],
  'port conflict': ['listening', 'needs login', 'cool-down', 'refused', 'closed'],
  closed: [],
}

export const gatewayStateOf = (facts: GatewayFacts): GatewayState =>
  RULES.find((rule) => rule.when(facts))?.state ?? 'needs login'
