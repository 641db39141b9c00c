// The open gateways: a list of any length beside the page of the selected one.
import { useDeferredValue, useMemo, useState } from 'react'
import type { GatewayDetail } from '../../../shared/app-state.ts'
import { Button } from '../../components/button.tsx'
import { EmptyState } from '../../components/empty-state.tsx'
import { FindField } from '../../components/find-field.tsx'
import { VirtualList } from '../../components/virtual-list.tsx'
import { navigate } from '../../navigation.ts'
import { useGatewayList } from '../../state/selectors.ts'
import { GateIcon } from '../../shell/gate-icon.tsx'
import { texts } from '../../texts.ts'
import { GatewayPage } from './gateway-page.tsx'
import { GatewayRow } from './gateway-row.tsx'
import styles from './gateways.module.css'

const ROW_HEIGHT = 56
/** From this many on, the list has a filter. */
const FILTER_FROM = 8

export function Gateways({ selected }: { selected: string | null }) {
  const gateways = useGatewayList(null)
  const hasSeveralProfiles = new Set(gateways.map((gateway) => gateway.profile)).size > 1
  const [words, setWords] = useState('')
  const settled = useDeferredValue(words)
  const shown = useMemo(() => gateways.filter((gateway) => matches(gateway, settled)), [gateways, settled])
  const current =
    gateways.find((gateway) => gateway.id === selected) ?? (selected === null ? shown[0] : undefined) ?? null

  if (gateways.length === 0) {
    return (
      <div className={styles.none}>
        <h1 className="visually-hidden">{texts.gateways.title}</h1>
        <EmptyState
          icon={<GateIcon />}
          title={texts.gateways.emptyTitle}
          text={texts.gateways.emptyText}
          action={
            <Button kind="primary" size="large" onClick={() => navigate({ screen: 'resources' })}>
              {texts.gateways.emptyAction}
            </Button>
          }
        />
      </div>
    )
  }
  return (
    <div className={styles.screen}>
      <section className={styles.list} aria-labelledby="gateways-title">
        <header className={styles.head}>
          <h1 id="gateways-title">{texts.gateways.title}</h1>
          <Button onClick={() => navigate({ screen: 'resources' })}>{texts.gateways.openAnother}</Button>
        </header>
        {gateways.length >= FILTER_FROM && (
          <search className={styles.find}>
            <FindField
              label={texts.gateways.filter}
              value={words}
              onChange={setWords}
              clearLabel={texts.gateways.clearFilter}
            />
          </search>
        )}
        {shown.length === 0 ? (
          <p className={styles.noMatch}>{texts.gateways.noMatch}</p>
        ) : (
          <VirtualList
            label={texts.gateways.list}
            items={shown}
            rowHeight={ROW_HEIGHT}
            getKey={idOf}
            selectedKey={current?.id ?? null}
            onSelect={(gateway) =>
              navigate({ screen: 'gateways', gateway: gateway.id }, { replace: selected !== null })
            }
            onActivate={(gateway) => {
              navigate({ screen: 'gateways', gateway: gateway.id })
              document.getElementById('gateway-page')?.focus()
            }}
            renderRow={(gateway) => <GatewayRow gateway={gateway} isProfileShown={hasSeveralProfiles} />}
          />
        )}
      </section>
      <section
        className={styles.page}
        id="gateway-page"
        tabIndex={-1}
        aria-label={current?.resource ?? texts.gateways.pickTitle}
      >
        {current ? (
          <GatewayPage key={current.id} gateway={current} />
        ) : (
          <EmptyState
            icon={<GateIcon />}
            title={selected === null ? texts.gateways.pickTitle : texts.gateways.gone}
            text={texts.gateways.pickText}
          />
        )}
      </section>
    </div>
  )
}

const idOf = (gateway: GatewayDetail): string => gateway.id

function matches(gateway: GatewayDetail, words: string): boolean {
  const text =
    `${gateway.resource} ${gateway.account} ${gateway.database} ${gateway.profile} :${gateway.port}`.toLowerCase()
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word))
}
