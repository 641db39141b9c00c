// The filters over the list of resources: words, kind, label.
import { Search, X } from 'lucide-react'
import { RESOURCE_PROTOCOLS } from '../../../shared/names.ts'
import { IconButton } from '../../components/button.tsx'
import { texts } from '../../texts.ts'
import { NO_FILTER, type ResourceFilter } from './filter-resources.ts'
import styles from './filter-bar.module.css'

export function FilterBar({
  filter,
  onChange,
  labels,
  onEnter,
}: {
  filter: ResourceFilter
  onChange: (filter: ResourceFilter) => void
  labels: readonly string[]
  /** Enter in the search opens what is selected. */
  onEnter: () => void
}) {
  const isFiltering = filter.words !== '' || filter.kind !== null || filter.label !== null
  return (
    <search className={styles.bar} aria-label={texts.resources.list}>
      <div className={styles.find}>
        <Search aria-hidden="true" />
        <input
          type="text"
          dir="auto"
          spellCheck={false}
          autoComplete="off"
          aria-label={texts.resources.find}
          placeholder={texts.resources.find}
          value={filter.words}
          onChange={(event) => onChange({ ...filter, words: event.target.value })}
          onKeyDown={(event) => {
            if (event.key === 'Enter') onEnter()
            if (event.key === 'Escape' && filter.words !== '') onChange({ ...filter, words: '' })
          }}
        />
        {isFiltering && (
          <IconButton label={texts.resources.clearFilters} className={styles.clear} onClick={() => onChange(NO_FILTER)}>
            <X />
          </IconButton>
        )}
      </div>
      <div className={styles.selects}>
        <select
          aria-label={texts.resources.kind}
          value={filter.kind ?? ''}
          onChange={(event) => onChange({ ...filter, kind: event.target.value || null })}
        >
          <option value="">{texts.resources.allKinds}</option>
          {RESOURCE_PROTOCOLS.map((protocol) => (
            <option key={protocol} value={protocol}>
              {texts.protocol[protocol]}
            </option>
          ))}
        </select>
        <select
          aria-label={texts.resources.label}
          value={filter.label ?? ''}
          onChange={(event) => onChange({ ...filter, label: event.target.value || null })}
        >
          <option value="">{texts.resources.allLabels}</option>
          {labels.map((label) => (
            <option key={label} value={label}>
              {label}
            </option>
          ))}
        </select>
      </div>
    </search>
  )
}
