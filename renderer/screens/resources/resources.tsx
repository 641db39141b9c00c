// What the person may open: search as you type, kind and label, a list of any length, and beside it what each account of
// the selected resource may do. Enter or a double click opens with the defaults.
import { Database, RotateCw, SearchX, ServerOff } from 'lucide-react'
import { useDeferredValue, useMemo, useState } from 'react'
import type { ResourceView } from '../../../shared/resource-api.ts'
import { hasAccounts } from '../../../shared/names.ts'
import type { ProfileView } from '../../../shared/rpc.ts'
import { Button, IconButton } from '../../components/button.tsx'
import { EmptyState, ErrorLine, ErrorState } from '../../components/empty-state.tsx'
import { Spinner } from '../../components/spinner.tsx'
import { VirtualList } from '../../components/virtual-list.tsx'
import { navigate } from '../../navigation.ts'
import { askLogin } from '../../state/call.ts'
import { loadResources, useResources } from '../../state/resources.ts'
import { useCurrentProfile, useGatewayList, useIsLive } from '../../state/selectors.ts'
import type { ResourceListing } from '../../state/store.ts'
import { texts } from '../../texts.ts'
import { allLabels, filterResources, NO_FILTER, type ResourceFilter } from './filter-resources.ts'
import { FilterBar } from './filter-bar.tsx'
import { ResourceDetail } from './resource-detail.tsx'
import { ResourceRow } from './resource-row.tsx'
import { useOpenGateway } from './use-open-gateway.ts'
import styles from './resources.module.css'

const ROW_HEIGHT = 52

export function Resources() {
  const profile = useCurrentProfile()
  if (!profile) return <EmptyState title={texts.resources.noProfileTitle} text={texts.resources.noProfileText} />
  // A new profile starts with a fresh filter and selection.
  return <ProfileResources key={profile.profile} profile={profile} />
}

function ProfileResources({ profile }: { profile: ProfileView }) {
  const listing = useResources(profile.profile)
  const isLive = useIsLive()
  const needsLogin = profile.state !== 'ready' && profile.state !== 'expiring'
  if (listing && listing.resources.length > 0) return <Browser profile={profile} listing={listing} />
  if (needsLogin && profile.state !== 'offline') {
    return (
      <EmptyState
        icon={<Database />}
        title={texts.resources.loginTitle}
        text={texts.resources.loginText(profile.profile)}
        action={
          <Button kind="primary" size="large" disabled={!isLive} onClick={() => askLogin(profile.profile)}>
            {texts.common.logIn}
          </Button>
        }
      />
    )
  }
  if (listing?.status === 'failed') {
    return (
      <ErrorState
        title={texts.resources.failedTitle}
        error={listing.error}
        onRetry={() => void loadResources(profile.profile)}
      />
    )
  }
  if (listing?.status === 'ready') {
    return (
      <EmptyState
        icon={<ServerOff />}
        title={texts.resources.emptyTitle}
        text={listing.leftOut === 0 ? texts.resources.emptyText : texts.resources.leftOut(listing.leftOut)}
        action={<Button onClick={() => void loadResources(profile.profile)}>{texts.common.retry}</Button>}
      />
    )
  }
  return <EmptyState icon={<Spinner />} title={texts.common.loading} text="" />
}

function Browser({ profile, listing }: { profile: ProfileView; listing: ResourceListing }) {
  const [filter, setFilter] = useState<ResourceFilter>(NO_FILTER)
  const [selected, setSelected] = useState<string | null>(null)
  const settled = useDeferredValue(filter)
  const resources = listing.resources
  const shown = useMemo(() => filterResources(resources, settled), [resources, settled])
  const labels = useMemo(() => allLabels(resources), [resources])
  const gateways = useGatewayList(profile.profile)
  const { open, opening, error, clearError } = useOpenGateway(profile.profile)
  const current = shown.find((resource) => resource.name === selected) ?? shown[0] ?? null

  const gatewayOf = (resource: ResourceView) =>
    gateways.find((gateway) => gateway.resource === resource.name && gateway.account === resource.defaultAccount) ??
    gateways.find((gateway) => gateway.resource === resource.name)
  const select = (resource: ResourceView): void => {
    setSelected(resource.name)
    clearError()
  }
  const activate = (resource: ResourceView): void => {
    const gateway = gatewayOf(resource)
    if (gateway) navigate({ screen: 'gateways', gateway: gateway.id })
    else void open({ resource: resource.name, account: resource.defaultAccount })
  }

  return (
    <div className={styles.screen}>
      <section className={styles.list} aria-labelledby="resources-title">
        <header className={styles.head}>
          <h1 id="resources-title">{texts.resources.title}</h1>
          <span className={styles.count} role="status">
            {texts.resources.count(shown.length, resources.length)}
          </span>
          <IconButton
            label={texts.resources.reload}
            disabled={listing.status === 'loading'}
            onClick={() => void loadResources(profile.profile)}
          >
            {listing.status === 'loading' ? <Spinner /> : <RotateCw />}
          </IconButton>
        </header>
        <FilterBar filter={filter} onChange={setFilter} labels={labels} onEnter={() => current && activate(current)} />
        {listing.status === 'failed' && (
          <div className={styles.problem}>
            <ErrorLine error={listing.error} />
          </div>
        )}
        {listing.status === 'ready' && listing.leftOut > 0 && (
          <p className={styles.leftOut} role="status">
            {texts.resources.leftOut(listing.leftOut)}
          </p>
        )}
        {shown.length === 0 ? (
          <EmptyState
            icon={<SearchX />}
            title={texts.resources.noMatchTitle}
            text={texts.resources.noMatchText}
            action={<Button onClick={() => setFilter(NO_FILTER)}>{texts.resources.clearFilters}</Button>}
          />
        ) : (
          <VirtualList
            label={texts.resources.list}
            items={shown}
            rowHeight={ROW_HEIGHT}
            getKey={nameOf}
            selectedKey={current?.name ?? null}
            onSelect={select}
            onActivate={activate}
            renderRow={(resource) => <ResourceRow resource={resource} gateway={gatewayOf(resource) ?? null} />}
            renderAction={(resource, tabIndex) =>
              gatewayOf(resource) ? null : (
                <Button
                  size="small"
                  tabIndex={tabIndex}
                  className={styles.open}
                  isPending={opening === `${resource.name}\n${resource.defaultAccount}`}
                  aria-label={openLabel(resource)}
                  onClick={() => {
                    setSelected(resource.name)
                    activate(resource)
                  }}
                >
                  {texts.resources.open}
                </Button>
              )
            }
          />
        )}
      </section>
      <section className={styles.detail} aria-label={current?.name ?? texts.resources.pick}>
        {current && (
          <ResourceDetail
            key={current.name}
            resource={current}
            gateways={gateways.filter((gateway) => gateway.resource === current.name)}
            onOpen={(account, database) => void open({ resource: current.name, account, database })}
            opening={opening}
            error={error}
          />
        )}
      </section>
    </div>
  )
}

const nameOf = (resource: ResourceView): string => resource.name

const openLabel = ({ name, protocol, defaultAccount }: ResourceView): string =>
  hasAccounts(protocol) ? texts.resources.openAs(name, defaultAccount) : texts.resources.openOnly(name)
