// The state machine of a gateway (D3), as data: which facts make which state, and which event may lead from which to which.
// Shown by every host. Pure; run by gateway.ts, drawn in docs/states.md.
import type { GatewayState } from '../../shared/rpc.ts'
import type { Machine } from '../state-machine.ts'

export type GatewayFacts = {
  listener: 'starting' | 'listening' | 'port conflict' | 'closed'
  /** The login is good: a route certificate is there, or can be had without a person. None outlives its login (C2). */
  hasLogin: boolean
  /** Whether connections of this gateway wait for a login. */
  isHolding: boolean
  isCoolingDown: boolean
  /** The server refuses this route (role, account), or it belongs to another person. */
  isRefused: boolean
}

type GatewayEvent =
  | 'it listens'
  | 'its port is taken'
  | 'it is closed'
  | 'a login is there'
  | 'the login is over'
  | 'a connection is held'
  | 'nobody is held'
  | 'a cool-down begins'
  | 'the cool-down is over'
  | 'the server refuses'
  | 'the refusal is over'

const LISTENS = ['it listens'] as const
const TAKEN = ['its port is taken'] as const
const CLOSED = ['it is closed'] as const
const LOGGED_IN = ['a login is there'] as const
const OVER = ['the login is over'] as const
const HELD = ['a connection is held'] as const
const FREE = ['nobody is held'] as const
const COOLING = ['a cool-down begins'] as const
const COOLED = ['the cool-down is over'] as const
const REFUSED = ['the server refuses'] as const
const ALLOWED = ['the refusal is over'] as const

export const GATEWAY_MACHINE: Machine<GatewayState, GatewayFacts, GatewayEvent> = {
  name: 'gateway',
  rules: [
    { state: 'closed', when: (facts) => facts.listener === 'closed' },
    { state: 'port conflict', when: (facts) => facts.listener === 'port conflict' },
    { state: 'starting', when: (facts) => facts.listener === 'starting' },
    { state: 'refused', when: (facts) => facts.isRefused },
    { state: 'waiting for login', when: (facts) => facts.isHolding },
    { state: 'listening', when: (facts) => facts.hasLogin },
    { state: 'cool-down', when: (facts) => facts.isCoolingDown },
    { state: 'needs login', when: () => true },
  ],
  events: {
    'it listens': (before, after) => before.listener !== 'listening' && after.listener === 'listening',
    'its port is taken': (before, after) => before.listener !== 'port conflict' && after.listener === 'port conflict',
    'it is closed': (before, after) => before.listener !== 'closed' && after.listener === 'closed',
    'a login is there': (before, after) => !before.hasLogin && after.hasLogin,
    'the login is over': (before, after) => before.hasLogin && !after.hasLogin,
    'a connection is held': (before, after) => !before.isHolding && after.isHolding,
    'nobody is held': (before, after) => before.isHolding && !after.isHolding,
    'a cool-down begins': (before, after) => !before.isCoolingDown && after.isCoolingDown,
    'the cool-down is over': (before, after) => before.isCoolingDown && !after.isCoolingDown,
    'the server refuses': (before, after) => !before.isRefused && after.isRefused,
    'the refusal is over': (before, after) => before.isRefused && !after.isRefused,
  },
  transitions: {
    starting: {
      listening: LISTENS,
      'needs login': LISTENS,
      'cool-down': LISTENS,
      refused: LISTENS,
      'port conflict': TAKEN,
    },
    listening: {
      'needs login': OVER,
      'cool-down': OVER,
      refused: REFUSED,
      closed: CLOSED,
    },
    'needs login': {
      listening: LOGGED_IN,
      'waiting for login': HELD,
      'cool-down': COOLING,
      refused: REFUSED,
      closed: CLOSED,
    },
    'waiting for login': {
      listening: FREE,
      'needs login': FREE,
      'cool-down': FREE,
      refused: REFUSED,
      closed: CLOSED,
    },
    'cool-down': { listening: LOGGED_IN, 'needs login': COOLED, refused: REFUSED, closed: CLOSED },
    refused: {
      listening: ALLOWED,
      'needs login': ALLOWED,
      'waiting for login': ALLOWED,
      'cool-down': ALLOWED,
      closed: CLOSED,
    },
    'port conflict': {
      listening: LISTENS,
      'needs login': LISTENS,
      'cool-down': LISTENS,
      refused: LISTENS,
      closed: CLOSED,
    },
    closed: {},
  },
}
