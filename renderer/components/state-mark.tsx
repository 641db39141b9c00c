// States by shape and word: each has a shape of its own, so that no colour has to be told apart. `StateMark` is the shape
// with its name for screen readers, `StateBadge` shape and word.
import type { GatewayState, ProfileView } from '../../shared/rpc.ts'
import type { SessionState } from '../../shared/session-api.ts'
import { texts } from '../texts.ts'
import { classNames } from './class-names.ts'
import styles from './state-mark.module.css'

type Shape = 'dot' | 'ring' | 'triangle' | 'hourglass' | 'pause' | 'octagon' | 'diamond' | 'slash' | 'clock' | 'square'
type Tone = 'ok' | 'warn' | 'bad' | 'muted'

const GATEWAY_MARKS: Record<GatewayState, [Shape, Tone]> = {
  starting: ['ring', 'muted'],
  listening: ['dot', 'ok'],
  'needs login': ['triangle', 'warn'],
  'waiting for login': ['hourglass', 'warn'],
  'cool-down': ['pause', 'warn'],
  refused: ['octagon', 'bad'],
  'port conflict': ['diamond', 'bad'],
  closed: ['ring', 'muted'],
}

const PROFILE_MARKS: Record<ProfileView['state'], [Shape, Tone]> = {
  'signed out': ['ring', 'muted'],
  ready: ['dot', 'ok'],
  expiring: ['clock', 'warn'],
  expired: ['triangle', 'warn'],
  'logging in': ['hourglass', 'warn'],
  refused: ['octagon', 'bad'],
  offline: ['slash', 'bad'],
}

/** A live one whose core does not answer is inactive (I3). */
export type ShownSessionState = SessionState | 'inactive'

const SESSION_MARKS: Record<ShownSessionState, [Shape, Tone]> = {
  starting: ['ring', 'muted'],
  active: ['dot', 'ok'],
  inactive: ['pause', 'warn'],
  ended: ['square', 'muted'],
}

const PATHS: Record<Shape, string> = {
  dot: 'M7 2.2a4.8 4.8 0 1 0 0 9.6a4.8 4.8 0 1 0 0-9.6z',
  ring: 'M7 2.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9z',
  triangle: 'M7 1.6 13 12.2H1z',
  hourglass: 'M2.8 1.4h8.4L8.2 7l3 5.6H2.8L5.8 7z',
  pause: 'M3 2h3v10H3zM8 2h3v10H8z',
  octagon: 'M4.4 1.2h5.2l3.2 3.2v5.2l-3.2 3.2H4.4L1.2 9.6V4.4z',
  diamond: 'M7 .8 13.2 7 7 13.2.8 7z',
  slash: 'M7 2.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9zM2 12 12 2',
  clock: 'M7 1.8a5.2 5.2 0 1 0 0 10.4a5.2 5.2 0 1 0 0-10.4zM7 4v3.2l2 1.6',
  square: 'M2.6 2.6h8.8v8.8H2.6z',
}
const OUTLINES: ReadonlySet<Shape> = new Set(['ring', 'slash', 'clock'])

function Mark({ shape, tone, label }: { shape: Shape; tone: Tone; label: string | null }) {
  return (
    <svg
      className={classNames(styles.mark, styles[tone], OUTLINES.has(shape) && styles.outline)}
      viewBox="0 0 14 14"
      {...(label === null ? { 'aria-hidden': true } : { role: 'img', 'aria-label': label })}
    >
      {label !== null && <title>{label}</title>}
      <path d={PATHS[shape]} />
    </svg>
  )
}

type MarkProps = { isNamed?: boolean } & (
  | { gateway: GatewayState; profile?: never; session?: never }
  | { profile: ProfileView['state']; gateway?: never; session?: never }
  | { session: ShownSessionState; gateway?: never; profile?: never }
)

function lookUp(props: MarkProps): { mark: [Shape, Tone]; word: string } {
  if (props.session !== undefined)
    return { mark: SESSION_MARKS[props.session], word: texts.sessionState[props.session] }
  return props.gateway === undefined
    ? { mark: PROFILE_MARKS[props.profile], word: texts.profileState[props.profile] }
    : { mark: GATEWAY_MARKS[props.gateway], word: texts.gatewayState[props.gateway] }
}

/** The shape alone; `isNamed={false}` where the word stands beside it. */
export function StateMark(props: MarkProps) {
  const { mark, word } = lookUp(props)
  return <Mark shape={mark[0]} tone={mark[1]} label={props.isNamed === false ? null : word} />
}

/** Shape and word in a frame. */
export function StateBadge(props: MarkProps) {
  const { mark, word } = lookUp(props)
  return (
    <span className={classNames(styles.badge, styles[mark[1]])}>
      <Mark shape={mark[0]} tone={mark[1]} label={null} />
      {word}
    </span>
  )
}
