// The page of one session: who reaches what, since when; why it ended and who ended it; what moves, when its limits end it; what it
// ran; and ending it, after asking.
import { useState } from 'react'
import type { ProfileView } from '../../../shared/rpc.ts'
import type { SessionView } from '../../../shared/session-api.ts'
import { Button } from '../../components/button.tsx'
import { Callout } from '../../components/callout.tsx'
import { ConfirmDialog } from '../../components/confirm-dialog.tsx'
import { CopyButton } from '../../components/copy.tsx'
import { StateBadge } from '../../components/state-mark.tsx'
import { asSentence } from '../../dialogs/as-sentence.ts'
import { formatDuration, formatMoment, formatTime } from '../../format.ts'
import { useCall } from '../../state/call.ts'
import { note } from '../../state/overlays.ts'
import { useIsLive } from '../../state/selectors.ts'
import { useNow } from '../../state/use-now.ts'
import { texts } from '../../texts.ts'
import { mayEnd } from './rights.ts'
import { SessionFacts } from './session-facts.tsx'
import { lastedMs, stateOf } from './session-words.ts'
import { accountOf, protocolOf } from './sessions-view.ts'
import { Statements } from './statements.tsx'
import styles from './session-page.module.css'

const words = texts.sessions

export function SessionPage({ session, profile }: { session: SessionView; profile: ProfileView }) {
  const now = useNow()
  const { clockOffsetMs } = profile
  const isOwn = session.user === profile.user
  const local = (at: string): string => new Date(Date.parse(at) - clockOffsetMs).toISOString()
  const started = local(session.startedAt)
  const ended = session.endedAt === null ? null : local(session.endedAt)
  const lasted = formatDuration(lastedMs(session, now + clockOffsetMs))
  return (
    <div className={styles.page}>
      <div className={styles.crumb}>
        <StateBadge session={stateOf(session)} />
        <span className={styles.kind}>{protocolOf(session.protocol)}</span>
        <code className={styles.id} title={session.id} data-selectable>
          {session.id.slice(0, 8)}
        </code>
        <CopyButton text={session.id} label={words.copyId} kind="quiet" />
      </div>
      <div className={styles.title}>
        <h2 className={styles.name} dir="auto">
          {words.named(session.resource, accountOf(session))}
        </h2>
        {ended === null && <EndSession session={session} profile={profile} isOwn={isOwn} />}
      </div>
      <p className={styles.subtitle} dir="auto" title={formatMoment(started)}>
        {words.from(session.user, session.address)};{' '}
        {ended === null
          ? words.begun(formatTime(started, now), lasted)
          : words.lasted(formatTime(started, now), formatTime(ended, now), lasted)}
      </p>
      {ended !== null && (
        <div className={styles.ended} role="status">
          <Callout tone="info" title={words.endedTitle(formatMoment(ended))}>
            {session.endWhy === null
              ? words.endedWhy(
                  session.endReason ?? '',
                  session.endedBy,
                  isOwn && session.endedBy === profile.user,
                  session.endedBy === session.user,
                )
              : asSentence(session.endWhy)}
          </Callout>
        </div>
      )}
      {ended === null && session.inactiveSince !== null && (
        <div className={styles.ended} role="status">
          <Callout tone="info" title={words.inactiveTitle(formatMoment(local(session.inactiveSince)))}>
            {words.inactiveWhy}
          </Callout>
        </div>
      )}
      {ended === null && !mayEnd(session, profile) && <p className={styles.rights}>{words.endOthers}</p>}
      <SessionFacts session={session} clockOffsetMs={clockOffsetMs} />
      <Statements key={session.id} session={session} profile={profile} />
    </div>
  )
}

function EndSession({ session, profile, isOwn }: { session: SessionView; profile: ProfileView; isOwn: boolean }) {
  const [isAsking, setAsking] = useState(false)
  const end = useCall('sessions.end')
  const isLive = useIsLive()
  const owner = isOwn ? null : session.user
  const confirm = async (): Promise<void> => {
    const ended = await end.run({ profile: profile.profile, session: session.id })
    if (!ended) return
    setAsking(false)
    const expected = isOwn ? 'cancelled' : 'terminated'
    note(ended.reason === expected ? words.didEnd : words.endedBefore(words.endedWhy(ended.reason, null, false)))
  }
  if (!mayEnd(session, profile)) return null
  return (
    <>
      <Button
        kind="danger"
        disabled={!isLive}
        onClick={() => {
          end.reset()
          setAsking(true)
        }}
      >
        {words.end}
      </Button>
      <ConfirmDialog
        isOpen={isAsking}
        title={words.endTitle(owner)}
        text={words.endText(owner, words.named(session.resource, accountOf(session)), session.connections)}
        action={words.end}
        isPending={end.isPending}
        error={end.error}
        onConfirm={() => void confirm()}
        onCancel={() => setAsking(false)}
      />
    </>
  )
}
