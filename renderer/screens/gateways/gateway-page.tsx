// The page of one gateway: its address big enough to read across a desk, copies for every client, what goes on, who is
// connected, and what one can do with it.
import { useState } from 'react'
import type { GatewayDetail } from '../../../shared/app-state.ts'
import { hasAccounts } from '../../../shared/names.ts'
import { Button } from '../../components/button.tsx'
import { classNames } from '../../components/class-names.ts'
import { ConfirmDialog } from '../../components/confirm-dialog.tsx'
import { CopyButton } from '../../components/copy.tsx'
import { StateBadge } from '../../components/state-mark.tsx'
import { asSentence } from '../../dialogs/as-sentence.ts'
import { formatAddress } from '../../format.ts'
import { navigate } from '../../navigation.ts'
import { askLogin, useCall } from '../../state/call.ts'
import { note } from '../../state/overlays.ts'
import { useIsLive } from '../../state/selectors.ts'
import { texts } from '../../texts.ts'
import { ChangeGateway } from './change-gateway.tsx'
import { ConnectionTestSection } from './connection-test.tsx'
import { Connections } from './connections.tsx'
import { Facts } from './facts.tsx'
import { Snippets } from './snippets.tsx'
import styles from './gateway-page.module.css'

export function GatewayPage({ gateway }: { gateway: GatewayDetail }) {
  const [isChanging, setChanging] = useState(false)
  const address = formatAddress(gateway.host, gateway.port)
  return (
    <div className={styles.page}>
      <p className={styles.crumb}>
        <StateBadge gateway={gateway.state} />
        <bdi className={styles.resource} title={gateway.resource}>
          {gateway.resource}
        </bdi>
        <span className={styles.kind}>{texts.protocol[gateway.protocol]}</span>
      </p>
      <h2 className={styles.address}>
        <span className={styles.digits} data-selectable>
          {address}
        </span>
        <CopyButton text={address} label={texts.gateways.copyAddress} size="normal" />
      </h2>
      <p className={styles.subtitle}>
        {hasAccounts(gateway.protocol) ? (
          <>
            {texts.gateways.subtitle('')}
            <b dir="auto">{gateway.database}</b>, {texts.gateways.account('')}
            <b dir="auto">{gateway.account}</b>
          </>
        ) : (
          texts.gateways.asItIs
        )}
        ; {texts.gateways.whoCanUse[gateway.guardedBy ?? 'local user']}
        {gateway.keep === 'attached' && `; ${texts.gateways.attached}`}
      </p>
      {gateway.socket !== undefined && (
        <p className={styles.socket}>
          {texts.gateways.socket}{' '}
          <code dir="ltr" data-selectable>
            {gateway.socket}
          </code>
          <CopyButton text={gateway.socket} label={texts.gateways.copySocket} />
        </p>
      )}
      <StateLine gateway={gateway} onChange={() => setChanging(true)} />
      <Actions gateway={gateway} address={address} onChange={() => setChanging(true)} />
      <Snippets gateway={gateway} />
      <Facts gateway={gateway} />
      <Connections gateway={gateway} />
      {isChanging && <ChangeGateway gateway={gateway} onClose={() => setChanging(false)} />}
    </div>
  )
}

/** Why the gateway is not simply listening, and the way out. */
function StateLine({ gateway, onChange }: { gateway: GatewayDetail; onChange: () => void }) {
  const isLive = useIsLive()
  const isBad = gateway.state === 'refused' || gateway.state === 'port conflict'
  const needsLogin =
    gateway.state === 'needs login' || gateway.state === 'waiting for login' || gateway.state === 'cool-down'
  if (!isBad && !needsLogin && gateway.stateText === null) return null
  return (
    <div className={classNames(styles.state, isBad && styles.bad)} role="status">
      <span className={styles.stateText} dir="auto">
        {asSentence(reasonOf(gateway))}
      </span>
      {needsLogin && (
        <Button kind="primary" size="small" disabled={!isLive} onClick={() => askLogin(gateway.profile)}>
          {texts.gateways.loginNow}
        </Button>
      )}
      {gateway.state === 'port conflict' && (
        <Button size="small" disabled={!isLive} onClick={onChange}>
          {texts.gateways.pickPort}
        </Button>
      )}
    </div>
  )
}

/** In the window's words where the core speaks to terminals (it names commands there), else in the core's. */
function reasonOf({ state, stateText, waiting, profile }: GatewayDetail): string {
  switch (state) {
    case 'needs login':
      return texts.gateways.needsLogin(profile)
    case 'waiting for login':
      return texts.gateways.waitsForLogin(waiting, profile)
    case 'cool-down':
      return stateText ?? texts.gateways.coolDown
    case 'starting':
    case 'listening':
    case 'refused':
    case 'port conflict':
    case 'closed':
      return stateText ?? texts.gatewayState[state]
  }
}

function Actions({ gateway, address, onChange }: { gateway: GatewayDetail; address: string; onChange: () => void }) {
  const [isClosing, setClosing] = useState(false)
  const close = useCall('gateway.close')
  const isLive = useIsLive()
  const confirmClose = async (): Promise<void> => {
    if (!(await close.run({ gateway: gateway.id }))) return
    note(texts.gateways.closed(gateway.resource))
    navigate({ screen: 'gateways', gateway: null }, { replace: true })
  }
  return (
    <>
      <ConnectionTestSection gateway={gateway}>
        <Button disabled={!isLive} onClick={onChange}>
          {texts.gateways.change}
        </Button>
        <Button kind="danger" disabled={!isLive} onClick={() => setClosing(true)}>
          {texts.gateways.close}
        </Button>
      </ConnectionTestSection>
      <ConfirmDialog
        isOpen={isClosing}
        title={texts.gateways.closeTitle(gateway.resource)}
        text={texts.gateways.closeText(gateway.connections, address)}
        action={texts.gateways.close}
        isPending={close.isPending}
        error={close.error}
        onConfirm={() => void confirmClose()}
        onCancel={() => setClosing(false)}
      />
    </>
  )
}
