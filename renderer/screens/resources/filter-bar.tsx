// The filters over the list of resources: words, kind, label.
import { RESOURCE_PROTOCOLS } from '../../../shared/names.ts'
import { FindField } from '../../components/find-field.tsx'
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
      <FindField
        label={texts.resources.find}
        value={filter.words}
        onChange={(words) => onChange({ ...filter, words })}
        clearLabel={texts.resources.clearFilters}
        clearMore={{ isShown: isFiltering, onClear: () => onChange(NO_FILTER) }}
        onEnter={onEnter}
      />
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
