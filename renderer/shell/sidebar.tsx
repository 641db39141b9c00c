// The way around: the current cluster with its menu, the places with their counts, the other clusters.
import { Activity, Bell, ChevronsUpDown, Database, Info, Plus, Settings } from 'lucide-react'
import { useMemo, type ReactNode } from 'react'
import type { NoticeView } from '../../shared/app-state.ts'
import type { ProfileView } from '../../shared/rpc.ts'
import { classNames } from '../components/class-names.ts'
import { StateMark } from '../components/state-mark.tsx'
import { ProfileMenu } from '../dialogs/profile-menu.tsx'
import { formatRoute, navigate, type Route } from '../navigation.ts'
import { asPosternError, call } from '../state/call.ts'
import { note } from '../state/overlays.ts'
import { useResources } from '../state/resources.ts'
import { useApp, useCurrentProfile, useGateways, useProfiles } from '../state/selectors.ts'
import { texts } from '../texts.ts'
import { GateIcon } from './gate-icon.tsx'
import styles from './sidebar.module.css'

const NO_NOTICES: Readonly<Record<string, NoticeView>> = {}

export function Sidebar({ route }: { route: Route }) {
  const current = useCurrentProfile()
  const profiles = useProfiles()
  const others = useMemo(
    () => Object.values(profiles).filter((profile) => profile.profile !== current?.profile),
    [profiles, current?.profile],
  )
  const listing = useResources(current?.profile ?? null)
  const gateways = useGateways()
  const notices = useApp((app) => app.notices, NO_NOTICES)
  const unread = useMemo(() => Object.values(notices).filter((notice) => !notice.isRead).length, [notices])
  const openGateways = Object.keys(gateways).length

  return (
    <nav className={styles.sidebar} aria-label={texts.landmarks.navigation}>
      {current && <Switcher profile={current} />}
      <ul>
        <Place
          route={{ screen: 'resources' }}
          isHere={route.screen === 'resources'}
          icon={<Database />}
          title={texts.navigation.resources}
          count={listing?.resources.length ?? 0}
        />
        <Place
          route={{ screen: 'gateways', gateway: null }}
          isHere={route.screen === 'gateways'}
          icon={<GateIcon />}
          title={texts.navigation.gateways}
          count={openGateways}
          countLabel={texts.navigation.openGateways(openGateways)}
        />
        <Place
          route={{ screen: 'sessions', session: null }}
          isHere={route.screen === 'sessions'}
          icon={<Activity />}
          title={texts.navigation.sessions}
        />
        <Place
          route={{ screen: 'notices' }}
          isHere={route.screen === 'notices'}
          icon={<Bell />}
          title={texts.navigation.notices}
          count={unread}
          countLabel={texts.navigation.unread(unread)}
          isLoud
        />
      </ul>
      {others.length > 0 && (
        <>
          <h2 className={styles.heading} id="other-clusters">
            {texts.navigation.clusters}
          </h2>
          <ul aria-labelledby="other-clusters" className={styles.clusters}>
            {others.map((profile) => (
              <OtherCluster key={profile.profile} profile={profile} />
            ))}
          </ul>
        </>
      )}
      <ul className={styles.foot}>
        <Place
          route={{ screen: 'first-run' }}
          isHere={route.screen === 'first-run'}
          icon={<Plus />}
          title={texts.navigation.addCluster}
        />
        <Place
          route={{ screen: 'settings' }}
          isHere={route.screen === 'settings'}
          icon={<Settings />}
          title={texts.navigation.settings}
        />
        <Place
          route={{ screen: 'about' }}
          isHere={route.screen === 'about'}
          icon={<Info />}
          title={texts.navigation.about}
        />
      </ul>
    </nav>
  )
}

function Switcher({ profile }: { profile: ProfileView }) {
  return (
    <ProfileMenu
      profile={profile.profile}
      trigger={
        <button type="button" className={styles.switcher} title={`${profile.profile} · ${profile.address}`}>
          <StateMark profile={profile.state} />
          <span className={styles.name}>
            <span className="truncate" dir="auto">
              {profile.profile}
            </span>
            <span className={styles.address}>{profile.address}</span>
          </span>
          <ChevronsUpDown aria-hidden="true" />
        </button>
      }
    />
  )
}

function OtherCluster({ profile }: { profile: ProfileView }) {
  const select = (): void => {
    call('profile.select', { profile: profile.profile }).catch((failure: unknown) =>
      note(asPosternError(failure).message),
    )
  }
  return (
    <li>
      <button
        type="button"
        className={styles.place}
        title={profile.profile}
        aria-label={texts.navigation.switchTo(profile.profile, texts.profileState[profile.state])}
        onClick={select}
      >
        <span className={styles.icon}>
          <StateMark profile={profile.state} isNamed={false} />
        </span>
        <span className="truncate" dir="auto">
          {profile.profile}
        </span>
      </button>
    </li>
  )
}

type PlaceProps = {
  route: Route
  isHere: boolean
  icon: ReactNode
  title: string
  count?: number
  /** The count in words, where the number alone says too little. */
  countLabel?: string
  isLoud?: boolean
}

function Place({ route, isHere, icon, title, count = 0, countLabel, isLoud = false }: PlaceProps) {
  return (
    <li>
      <a
        href={formatRoute(route)}
        className={classNames(styles.place, isHere && styles.here)}
        aria-current={isHere ? 'page' : undefined}
        draggable={false}
        onClick={(event) => {
          event.preventDefault()
          navigate(route)
        }}
      >
        <span className={styles.icon}>{icon}</span>
        {title}
        {count > 0 && (
          <span className={classNames(styles.count, isLoud && styles.loud)}>
            <span aria-hidden={countLabel !== undefined}>{count}</span>
            {countLabel !== undefined && <span className="visually-hidden">{countLabel}</span>}
          </span>
        )}
      </a>
    </li>
  )
}
