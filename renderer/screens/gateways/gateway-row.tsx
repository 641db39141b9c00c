// One row of the list of gateways: state by shape and word, where it listens, who and what for, what goes on.
import type { GatewayDetail } from '../../../shared/app-state.ts'
import { hasAccounts } from '../../../shared/names.ts'
import { StateMark } from '../../components/state-mark.tsx'
import { classNames } from '../../components/class-names.ts'
import { formatBytes, formatClock } from '../../format.ts'
import { msUntil, useProfile } from '../../state/selectors.ts'
import { useNow } from '../../state/use-now.ts'
import { texts } from '../../texts.ts'
import styles from './gateway-row.module.css'

export function GatewayRow({ gateway, isProfileShown }: { gateway: GatewayDetail; isProfileShown: boolean }) {
  const what = hasAccounts(gateway.protocol) ? [gateway.account, gateway.database] : [texts.protocol[gateway.protocol]]
  const about = [...what, ...(isProfileShown ? [gateway.profile] : [])].join(' · ')
  return (
    <span className={styles.row}>
      <span className={styles.mark}>
        <StateMark gateway={gateway.state} />
      </span>
      <span className={styles.line}>
        <span className={styles.name} dir="auto" title={gateway.resource}>
          {gateway.resource}
        </span>
        <span className={styles.port}>:{gateway.port}</span>
      </span>
      <span className={styles.line}>
        <span className={styles.about} title={about}>
          <bdi>{about}</bdi>
        </span>
        <Activity gateway={gateway} />
      </span>
    </span>
  )
}

/** The one thing that matters now: what is wrong, who waits, what flows, or how long the certificate lives. */
function Activity({ gateway }: { gateway: GatewayDetail }) {
  switch (gateway.state) {
    case 'listening':
      return gateway.rateIn + gateway.rateOut > 0 ? (
        <span className={styles.activity}>{`${formatBytes(gateway.rateIn + gateway.rateOut)}/s`}</span>
      ) : (
        <TimeLeft gateway={gateway} />
      )
    case 'waiting for login':
      return <span className={classNames(styles.activity, styles.warn)}>{texts.gateways.waiting(gateway.waiting)}</span>
    case 'needs login':
    case 'cool-down':
      return <span className={classNames(styles.activity, styles.warn)}>{texts.gatewayState[gateway.state]}</span>
    case 'refused':
    case 'port conflict':
      return <span className={classNames(styles.activity, styles.bad)}>{texts.gatewayState[gateway.state]}</span>
    case 'starting':
    case 'closed':
      return <span className={styles.activity}>{texts.gatewayState[gateway.state]}</span>
  }
}

function TimeLeft({ gateway }: { gateway: GatewayDetail }) {
  const offset = useProfile(gateway.profile)?.clockOffsetMs ?? 0
  const left = msUntil(gateway.certificateExpiresAt, useNow(), offset)
  const word = texts.gateways.connected(gateway.connections)
  return (
    <span className={styles.activity} title={texts.gateways.certificate}>
      {left === null || left === 0 ? word : `${word} · ${formatClock(left)}`}
    </span>
  )
}
