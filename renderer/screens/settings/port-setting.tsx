// Where the ports of new gateways come from: Postern's own choice, or a range; a range is saved once both ends are right.
import { useState } from 'react'
import type { AppSettings } from '../../../shared/app-state.ts'
import { Segmented } from '../../components/segmented.tsx'
import { flowTexts } from '../../flow-texts.ts'
import { SettingRow } from './setting-row.tsx'
import styles from './settings.module.css'
import { useSetting } from './use-setting.ts'

const words = flowTexts.settings
/** Ports that the core gives out; below need more rights. */
const LOWEST_PORT = 1024
const HIGHEST_PORT = 65_535
/** What a range begins as: where Postern's own choice lies, below the ephemeral ports of all systems. */
const FIRST_RANGE = { from: 15_000, to: 15_999 }

type Draft = { from: string; to: string }

export function PortSetting({ settings }: { settings: AppSettings }) {
  const setting = useSetting(settings, 'portRange')
  const [draft, setDraft] = useState<Draft | null>(null)
  const range = setting.value
  const checked = draft === null ? null : checkRange(draft)
  const problem = checked !== null && 'problem' in checked ? checked.problem : null

  const save = async (): Promise<void> => {
    if (checked === null || 'problem' in checked) return
    const isNew = checked.from !== range?.from || checked.to !== range.to
    if (isNew) await setting.save({ from: checked.from, to: checked.to })
    setDraft(null)
  }

  const field = (end: 'from' | 'to', label: string) =>
    range && (
      <input
        className={styles.port}
        aria-label={label}
        aria-invalid={problem === null ? undefined : true}
        aria-describedby={problem === null ? 'setting-ports-hint' : 'setting-ports-problem'}
        inputMode="numeric"
        autoComplete="off"
        maxLength={5}
        value={draft ? draft[end] : String(range[end])}
        onChange={(event) => {
          const before = draft ?? { from: String(range.from), to: String(range.to) }
          setDraft({ ...before, [end]: event.currentTarget.value })
        }}
        onBlur={() => void save()}
        onKeyDown={(event) => {
          if (event.key === 'Enter') void save()
          if (event.key === 'Escape') setDraft(null)
        }}
      />
    )

  return (
    <SettingRow
      id="setting-ports"
      title={words.ports}
      hint={words.portsHint}
      status={setting.status}
      error={setting.error}
      problem={problem}
    >
      <div className={styles.ports}>
        <Segmented
          label={words.ports}
          options={[
            { value: 'auto', title: words.portsAuto },
            { value: 'range', title: words.portsRange },
          ]}
          value={range === null ? 'auto' : 'range'}
          onChange={(choice) => {
            setDraft(null)
            void setting.save(choice === 'auto' ? null : FIRST_RANGE)
          }}
        />
        {range && (
          <div className={styles.range}>
            {field('from', words.portFrom)}
            <span aria-hidden="true">–</span>
            {field('to', words.portTo)}
          </div>
        )}
      </div>
    </SettingRow>
  )
}

function checkRange(draft: Draft): { from: number; to: number } | { problem: string } {
  const from = readPort(draft.from)
  const to = readPort(draft.to)
  if (from === null || to === null) return { problem: words.portInvalid }
  return from > to ? { problem: words.portOrder } : { from, to }
}

function readPort(text: string): number | null {
  if (!/^\d{1,5}$/.test(text.trim())) return null
  const port = Number(text)
  return port >= LOWEST_PORT && port <= HIGHEST_PORT ? port : null
}
