// Copies for every client, the last used one first in sight (kept for this window) where the protocol
// has it.
import { create } from 'zustand'
import type { GatewayDetail } from '../../../shared/app-state.ts'
import { connectionSnippets } from '../../../shared/connection-snippets.ts'
import { CopyField } from '../../components/copy.tsx'
import { Tabs } from '../../components/tabs.tsx'
import { useApp } from '../../state/selectors.ts'
import { texts } from '../../texts.ts'
import styles from './snippets.module.css'

const useChoice = create<{ client: string }>(() => ({ client: 'psql' }))

export function Snippets({ gateway }: { gateway: GatewayDetail }) {
  const platform = useApp((app) => app.core.platform, 'linux')
  const client = useChoice((choice) => choice.client)
  const tabs = connectionSnippets(gateway, platform).map((snippet) => ({
    id: snippet.id,
    title: snippet.title,
    content: (
      <>
        <CopyField text={snippet.text} label={texts.gateways.copySnippet(snippet.title)} />
        {snippet.hint !== null && <p className={styles.hint}>{snippet.hint}</p>}
      </>
    ),
  }))
  return (
    <div className={styles.snippets}>
      <Tabs
        label={texts.gateways.copies}
        tabs={tabs}
        value={tabs.some(({ id }) => id === client) ? client : tabs[0]?.id}
        onChange={(chosen) => useChoice.setState({ client: chosen })}
      />
    </div>
  )
}
