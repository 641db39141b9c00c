// One row of the list of sessions: what and who, since when, over how many connections, how much moved, what it does now or why it
// ended. Narrow windows show less of it.
import type { SessionView } from '../../../shared/session-api.ts'
import { classNames } from '../../components/class-names.ts'
import { StateMark } from '../../components/state-mark.tsx'
import { formatAgo, formatBytes, formatTime } from '../../format.ts'
import { useNow } from '../../state/use-now.ts'
import { texts } from '../../texts.ts'
import { doesNow, howEnded, stateOf } from './session-words.ts'
import { accountOf, protocolOf } from './sessions-view.ts'
import styles from './session-row.module.css'

const words = texts.sessions

/** @param offsetMs the server's clock minus this machine's */
export function SessionRow({
  session,
  isUserShown,
  offsetMs,
}: {
  session: SessionView
  isUserShown: boolean
  offsetMs: number
}) {
  const now = useNow()
  const isOver = session.state === 'ended'
  const account = accountOf(session)
  const about = [...(isUserShown ? [session.user] : []), protocolOf(session.protocol)].join(' · ')
  const local = (at: string): string => new Date(Date.parse(at) - offsetMs).toISOString()
  const bytes = formatBytes(session.bytesFromClient + session.bytesToClient)
  return (
    <span className={classNames(styles.row, isOver && styles.over)}>
      <span className={styles.mark}>
        <StateMark session={stateOf(session)} />
      </span>
      <span className={styles.what} title={words.named(session.resource, account)}>
        <b dir="auto">{session.resource}</b>
        {account !== null && <bdi className={styles.account}>{account}</bdi>}
      </span>
      <span className={styles.about} title={about}>
        <bdi>{about}</bdi>
      </span>
      <span className={styles.wide}>{isOver ? '' : words.connections(session.connections)}</span>
      <span className={classNames(styles.wide, styles.second)}>
        {isOver && session.endedAt !== null
          ? words.until(formatTime(local(session.endedAt), now))
          : words.since(formatTime(local(session.startedAt), now))}
      </span>
      <span className={styles.now}>{isOver ? howEnded(session) : doesNow(session, now + offsetMs)}</span>
      <span className={classNames(styles.now, styles.second)}>
        {bytes}
        <span className={styles.extra}>
          {isOver || session.lastStatementAt === null
            ? words.moved
            : words.ran(formatAgo(local(session.lastStatementAt), now))}
        </span>
      </span>
    </span>
  )
}
