// What runs here and where its files are: versions, key protection said plainly, the log, and the bundle for support.
import { useState } from 'react'
import type { AppState } from '../../../shared/app-state.ts'
import { Button } from '../../components/button.tsx'
import { Callout } from '../../components/callout.tsx'
import { CopyButton } from '../../components/copy.tsx'
import { Page, PageSection } from '../../components/page.tsx'
import { flowTexts } from '../../flow-texts.ts'
import { formatMoment } from '../../format.ts'
import { useCall } from '../../state/call.ts'
import { useApp, useProfiles } from '../../state/selectors.ts'
import { useShell, type ShellDescription } from '../../state/shell.ts'
import styles from './about.module.css'
import { DiagnosticsBundle } from './diagnostics-bundle.tsx'
import { Fact, Facts } from './facts.tsx'

const words = flowTexts.about

export function About() {
  const core = useApp((app) => app.core, null)
  const shell = useShell()
  return (
    <Page title={words.title} note={words.tagline}>
      {core && <Versions core={core} shell={shell} />}
      <PageSection title={words.keys}>
        <p className={styles.text}>{core?.keyProtection ?? shell?.keyProtection ?? words.unknown}</p>
      </PageSection>
      <Clusters />
      {core && <Files core={core} />}
      <PageSection title={words.diagnostics}>
        <DiagnosticsBundle />
      </PageSection>
    </Page>
  )
}

function Versions({ core, shell }: { core: AppState['core']; shell: ShellDescription | null }) {
  return (
    <PageSection title={words.versions}>
      <div className={styles.stack}>
        <Facts>
          <Fact name={words.app}>{shell?.version ?? words.unknown}</Fact>
          <Fact name={words.core}>{core.version}</Fact>
          {shell && (
            <Fact name={words.shell}>{shell.kind === 'electron' ? words.shellElectron : words.shellBrowser}</Fact>
          )}
          {Object.entries(shell?.versions ?? {}).map(([name, version]) => (
            <Fact key={name} name={name}>
              {version}
            </Fact>
          ))}
          <Fact name={words.platform}>{core.platform}</Fact>
          <Fact name={words.started}>{words.startedAs(formatMoment(core.startedAt), core.pid)}</Fact>
        </Facts>
        {shell && shell.version !== core.version && <Callout tone="warn">{words.outdated}</Callout>}
      </div>
    </PageSection>
  )
}

/** Whether news of each cluster comes at once; nothing but a delay hangs on it. */
function Clusters() {
  const profiles = Object.values(useProfiles()).filter(
    ({ state, live }) => live !== undefined && (state === 'ready' || state === 'expiring'),
  )
  if (profiles.length === 0) return null
  return (
    <PageSection title={words.clusters}>
      <Facts>
        {profiles.map(({ profile, live }) => (
          <Fact key={profile} name={profile}>
            {live ? words.live : words.notLive}
          </Fact>
        ))}
      </Facts>
    </PageSection>
  )
}

function Files({ core }: { core: AppState['core'] }) {
  const showLogs = useCall('shell.showLogs')
  const [isShown, setShown] = useState(true)
  const show = async (): Promise<void> => {
    const answer = await showLogs.run({})
    setShown(answer?.shown ?? false)
  }
  return (
    <PageSection title={words.files}>
      <div className={styles.stack}>
        <Facts>
          <Fact name={words.home} action={<CopyButton kind="quiet" text={core.home} label={words.copyHome} />}>
            <code>{core.home}</code>
          </Fact>
          <Fact name={words.log} action={<CopyButton kind="quiet" text={core.logFile} label={words.copyLog} />}>
            <code>{core.logFile}</code>
          </Fact>
        </Facts>
        <div className={styles.actions}>
          <Button isPending={showLogs.isPending} onClick={() => void show()}>
            {words.showLogs}
          </Button>
          <span role="status" className={styles.quiet}>
            {!isShown && words.cannotShow}
          </span>
        </div>
      </div>
    </PageSection>
  )
}
