// The window: top bar, banner, sidebar, the screen of the route, and what may lie over it. Decides nothing but what is shown.
import { useEffect } from 'react'
import { EmptyState } from './components/empty-state.tsx'
import { Spinner } from './components/spinner.tsx'
import { LoginDialog } from './dialogs/login-dialog.tsx'
import { useLoginQueue } from './dialogs/login-queue.ts'
import { LoginWindow } from './dialogs/login-window.tsx'
import { navigate, useRoute, type Route } from './navigation.ts'
import { CommandPalette } from './palette/command-palette.tsx'
import { About } from './screens/about/about.tsx'
import { FirstRun } from './screens/first-run/first-run.tsx'
import { Gateways } from './screens/gateways/gateways.tsx'
import { Notices } from './screens/notices/notices.tsx'
import { Resources } from './screens/resources/resources.tsx'
import { Sessions } from './screens/sessions/sessions.tsx'
import { Settings } from './screens/settings/settings.tsx'
import { Banner } from './shell/banner.tsx'
import { CrashGuard } from './shell/crash-guard.tsx'
import { ConfirmLink } from './shell/confirm-link.tsx'
import { Sidebar } from './shell/sidebar.tsx'
import { StatusNote } from './shell/status-note.tsx'
import { TopBar } from './shell/top-bar.tsx'
import { useAttention } from './state/attention.ts'
import { askLogin, usePageEvent } from './state/call.ts'
import { useApp } from './state/selectors.ts'
import { useMirror } from './state/store.ts'
import { flowTexts } from './flow-texts.ts'
import icon from './icon.svg'
import iconWithDot from './icon-asks.svg'
import { texts } from './texts.ts'
import styles from './app.module.css'

const START: Route = { screen: 'resources' }

export function App() {
  useTheme()
  useShellNavigation()
  const route = useRoute() ?? START
  useArrival(route)
  useAttention()
  const hasState = useMirror((mirror) => mirror.app !== null)
  const hasProfiles = useApp((app) => Object.keys(app.profiles).length > 0, false)
  if (route.screen === 'login') return <LoginWindow />
  return (
    <>
      <div className={styles.app}>
        <a className={styles.skip} href="#main" onClick={focusMain}>
          {texts.landmarks.skip}
        </a>
        <TopBar />
        <Banner />
        {hasState && hasProfiles && <Sidebar route={route} />}
        <main id="main" className={styles.main} tabIndex={-1}>
          {!hasState ? (
            <Connecting />
          ) : hasProfiles ? (
            <CrashGuard key={route.screen}>
              <Screen route={route} />
            </CrashGuard>
          ) : (
            <FirstRun />
          )}
        </main>
      </div>
      {hasState && (
        <>
          <CommandPalette />
          <ConfirmLink />
          <LoginDialog />
        </>
      )}
      <StatusNote />
    </>
  )
}

function Screen({ route }: { route: Route }) {
  switch (route.screen) {
    case 'resources':
      return <Resources />
    case 'gateways':
      return <Gateways selected={route.gateway} />
    case 'sessions':
      return <Sessions selected={route.session} />
    case 'notices':
      return <Notices />
    case 'settings':
      return <Settings />
    case 'about':
      return <About />
    case 'first-run':
      return <FirstRun />
    case 'login':
      return null
  }
}

function Connecting() {
  const core = useMirror((mirror) => mirror.core)
  return (
    <div className={styles.connecting}>
      <EmptyState
        icon={<Spinner />}
        title={core.state === 'failed' ? texts.connection.failed : texts.connection.connecting}
        text={core.text ?? ''}
      />
    </div>
  )
}

/** The theme of the settings, on the root; without one the system's. */
function useTheme(): void {
  const theme = useApp((app) => app.settings.theme, 'system')
  useEffect(() => {
    if (theme === 'system') delete document.documentElement.dataset['theme']
    else document.documentElement.dataset['theme'] = theme
  }, [theme])
}

/** Goes where the tray, a notification or a confirmed link points. */
function useShellNavigation(): void {
  usePageEvent('shell.navigate', ({ to, gateway }) => {
    if (to === 'gateways') navigate({ screen: to, gateway })
    else if (to !== 'login') navigate({ screen: to })
    else {
      const profile = useMirror.getState().app?.currentProfile
      if (profile !== null && profile !== undefined) askLogin(profile)
    }
  })
}

const TITLES: Record<Route['screen'], string> = {
  resources: texts.navigation.resources,
  gateways: texts.navigation.gateways,
  sessions: texts.navigation.sessions,
  notices: texts.navigation.notices,
  settings: texts.navigation.settings,
  about: texts.navigation.about,
  'first-run': texts.navigation.addCluster,
  login: texts.common.logIn,
}

/**
 * Names the window after the screen, or the login that is asked in it: a page in a tab has no other way to say so. Keeps the
 * focus in the page when what had it is gone.
 */
function useArrival({ screen }: Route): void {
  const asked = useLoginQueue((queue) => queue.tasks[0]?.prompt.profile)
  useEffect(() => {
    const title = asked === undefined ? TITLES[screen] : flowTexts.login.asked(asked)
    document.title = `${title} – ${texts.app.name}`
    document.querySelector('link[rel="icon"]')?.setAttribute('href', asked === undefined ? icon : iconWithDot)
  }, [screen, asked])
  useEffect(() => {
    if (document.activeElement === document.body) document.getElementById('main')?.focus()
  }, [screen])
}

function focusMain(event: { preventDefault(): void }): void {
  event.preventDefault()
  document.getElementById('main')?.focus()
}
