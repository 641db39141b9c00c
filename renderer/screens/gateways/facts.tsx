// Four facts that change while one looks: the certificate's life, connections, the live line of traffic, time to connect.
import { useMemo } from 'react'
import type { GatewayDetail } from '../../../shared/app-state.ts'
import { Fact, FactList } from '../../components/facts.tsx'
import styles from '../../components/facts.module.css'
import { Sparkline } from '../../components/sparkline.tsx'
import { formatBytes, formatClock, splitBytes } from '../../format.ts'
import { msUntil, useProfile } from '../../state/selectors.ts'
import { useMirror } from '../../state/store.ts'
import { TRAFFIC_WINDOW_MS, type TrafficSample } from '../../state/traffic.ts'
import { useNow } from '../../state/use-now.ts'
import { texts } from '../../texts.ts'

const NO_SAMPLES: readonly TrafficSample[] = []

export function Facts({ gateway }: { gateway: GatewayDetail }) {
  return (
    <FactList>
      <Certificate gateway={gateway} />
      <Fact name={texts.gateways.connections} value={String(gateway.connections)}>
        {texts.gateways.connectionsHeld(gateway.waiting)}
      </Fact>
      <Fact
        name={texts.gateways.roundTrip}
        value={gateway.roundTripMs === null ? '–' : String(Math.round(gateway.roundTripMs))}
        unit={gateway.roundTripMs === null ? '' : texts.gateways.roundTripUnit}
      >
        {gateway.roundTripMs === null ? texts.gateways.roundTripNone : texts.gateways.roundTripHint}
      </Fact>
      <Traffic gateway={gateway} />
    </FactList>
  )
}

function Certificate({ gateway }: { gateway: GatewayDetail }) {
  const profile = useProfile(gateway.profile)
  const left = msUntil(gateway.certificateExpiresAt, useNow(), profile?.clockOffsetMs ?? 0)
  const state = profile?.state
  const canRenew = state === 'ready' || state === 'expiring'
  const hindrance = state === 'offline' ? texts.gateways.certificateOffline : texts.gateways.certificateLogin
  if (left === null || left === 0) {
    return (
      <Fact
        name={texts.gateways.certificate}
        value={left === null ? texts.gateways.certificateNone : texts.gateways.certificateExpired}
      >
        {canRenew ? texts.gateways.certificateNextUse : hindrance}
      </Fact>
    )
  }
  return (
    <Fact name={texts.gateways.certificate} value={formatClock(left)} unit={texts.gateways.certificateLeft}>
      {canRenew ? texts.gateways.certificateSelf : hindrance}
    </Fact>
  )
}

function Traffic({ gateway }: { gateway: GatewayDetail }) {
  const samples = useMirror((mirror) => mirror.traffic[gateway.id] ?? NO_SAMPLES)
  const now = useNow()
  const incoming = useMemo(() => samples.map(({ at, rateIn }) => ({ at, value: rateIn })), [samples])
  const outgoing = useMemo(() => samples.map(({ at, rateOut }) => ({ at, value: rateOut })), [samples])
  // The newest sample may be newer than the clock's last tick.
  const to = Math.max(now, samples.at(-1)?.at ?? 0)
  return (
    <div className={styles.fact}>
      <dt>{texts.gateways.traffic}</dt>
      <dd>
        <span className={styles.rates}>
          <Rate bytes={gateway.rateOut} direction={texts.gateways.trafficOut} isMain />
          <Rate bytes={gateway.rateIn} direction={texts.gateways.trafficIn} />
        </span>
        <Sparkline
          first={outgoing}
          second={incoming}
          to={to}
          windowMs={TRAFFIC_WINDOW_MS}
          label={texts.gateways.trafficLine(formatBytes(gateway.rateIn), formatBytes(gateway.rateOut))}
        />
        <span className={styles.note}>
          {texts.gateways.trafficTotal(formatBytes(gateway.bytesIn), formatBytes(gateway.bytesOut))}
        </span>
      </dd>
    </div>
  )
}

function Rate({ bytes, direction, isMain = false }: { bytes: number; direction: string; isMain?: boolean }) {
  const { value, unit } = splitBytes(bytes)
  return (
    <span className={isMain ? styles.value : styles.second}>
      {value}
      <small>{`${unit}/s ${direction}`}</small>
    </span>
  )
}
