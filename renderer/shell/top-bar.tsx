// The bar over everything: brand, the way into the palette, and how long the login lives (one click logs in ahead of time).
import { Search } from 'lucide-react'
import { useState } from 'react'
import type { ProfileView } from '../../shared/rpc.ts'
import { Button } from '../components/button.tsx'
import { classNames } from '../components/class-names.ts'
import { COMMAND_KEY, Kbd } from '../components/kbd.tsx'
import { StateMark } from '../components/state-mark.tsx'
import { TimeRing } from '../components/time-ring.tsx'
import { formatDuration, formatMoment } from '../format.ts'
import { askLogin } from '../state/call.ts'
import { openPalette } from '../state/overlays.ts'
import { msUntil, useCurrentProfile, useIsLive } from '../state/selectors.ts'
import { useNow } from '../state/use-now.ts'
import { texts } from '../texts.ts'
import { BrandMark } from './brand-mark.tsx'
import styles from './top-bar.module.css'

/** What a full ring may stand for, in ms: the contract names no beginning of a login, so the next round time is taken. */
const RING_SCALES_MS = [1, 5, 15, 60, 8 * 60, 24 * 60].map((minutes) => minutes * 60_000)

export function TopBar() {
  const profile = useCurrentProfile()
  return (
    <header className={styles.bar}>
      <div className={styles.brand}>
        <BrandMark />
        <span>{texts.app.name}</span>
      </div>
      {profile && (
        <button type="button" className={styles.find} onClick={openPalette} aria-keyshortcuts="Control+K Meta+K">
          <Search aria-hidden="true" />
          <span className="truncate">{texts.search.open}</span>
          <Kbd>{`${COMMAND_KEY} K`}</Kbd>
        </button>
      )}
      <div className={styles.login} role="group" aria-label={texts.landmarks.account}>
        {profile && <LoginStatus profile={profile} />}
      </div>
    </header>
  )
}

function LoginStatus({ profile }: { profile: ProfileView }) {
  switch (profile.state) {
    case 'ready':
    case 'expiring':
      return <TimeLeft profile={profile} />
    case 'logging in':
      return (
        <span className={styles.state}>
          <StateMark profile={profile.state} isNamed={false} />
          {texts.login.loggingIn}
        </span>
      )
    case 'signed out':
    case 'expired':
    case 'refused':
    case 'offline':
      return <LoginNeeded profile={profile} state={profile.state} />
  }
}

const STATE_TEXTS = {
  'signed out': texts.login.signedOut,
  expired: texts.login.expired,
  refused: texts.login.refused,
  offline: texts.login.offline,
}

function LoginNeeded({ profile, state }: { profile: ProfileView; state: keyof typeof STATE_TEXTS }) {
  const isLive = useIsLive()
  return (
    <>
      <span className={styles.state}>
        <StateMark profile={state} isNamed={false} />
        {STATE_TEXTS[state]}
      </span>
      <Button kind="primary" size="small" disabled={!isLive} onClick={() => askLogin(profile.profile)}>
        {texts.common.logIn}
      </Button>
    </>
  )
}

function TimeLeft({ profile }: { profile: ProfileView }) {
  const now = useNow()
  const isLive = useIsLive()
  const left = msUntil(profile.expiresAt, now, profile.clockOffsetMs)
  // Never look connected when expired: the core says `expired` at the same moment, but its word may be on the way.
  if (left === 0) return <LoginNeeded profile={profile} state="expired" />
  return (
    <button
      type="button"
      className={styles.time}
      disabled={!isLive}
      title={`${texts.login.renew}${profile.expiresAt === null ? '' : ` (${formatMoment(profile.expiresAt)})`}`}
      onClick={() => askLogin(profile.profile)}
    >
      <LoginRing key={profile.expiresAt} left={left} isLow={profile.state === 'expiring'} />
      <bdi className={styles.user}>{profile.user}</bdi>
      <span className={styles.on}>
        {texts.login.as('')}
        <bdi>{profile.profile}</bdi>
      </span>
      {left !== null && (
        <span className={classNames(styles.left, profile.state === 'expiring' && styles.low)}>
          {texts.login.left(formatDuration(left))}
        </span>
      )}
    </button>
  )
}

/** One login's ring: its scale is chosen when the login is first seen, and stays. `left` in ms, null for without end. */
function LoginRing({ left, isLow }: { left: number | null; isLow: boolean }) {
  const [scale] = useState(() => RING_SCALES_MS.find((candidate) => candidate * 1.02 >= (left ?? 0)) ?? left ?? 1)
  return <TimeRing share={left === null ? 1 : left / scale} isLow={isLow} />
}
