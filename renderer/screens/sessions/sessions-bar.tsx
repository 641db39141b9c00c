// What stands over the list of sessions: whose and which, the filter by words, and the one gateway that it is about, if any.
import { X } from 'lucide-react'
import { FindField } from '../../components/find-field.tsx'
import { Segmented } from '../../components/segmented.tsx'
import { texts } from '../../texts.ts'
import { accountOf, setFilter, type SessionsFilter } from './sessions-view.ts'
import styles from './sessions.module.css'

const words = texts.sessions
const SCOPES: readonly { value: SessionsFilter['scope']; title: string }[] = [
  { value: 'mine', title: words.mine },
  { value: 'all', title: words.everyone },
]
const STATES: readonly { value: SessionsFilter['state']; title: string }[] = [
  { value: 'live', title: words.live },
  { value: 'ended', title: words.ended },
  { value: 'any', title: words.any },
]

export function SessionsBar({
  filter,
  mayAll,
  shown,
  all,
  isKnown,
}: {
  filter: SessionsFilter
  mayAll: boolean
  shown: number
  all: number
  /** How many there are. */
  isKnown: boolean
}) {
  const { only } = filter
  const what = only && words.only(only.resource, accountOf(only))
  return (
    <>
      <header className={styles.head}>
        <h1 id="sessions-title">{words.title}</h1>
        <span className={styles.count} role="status">
          {isKnown ? words.count(shown, all) : ''}
        </span>
        {mayAll && (
          <Segmented
            label={words.scope}
            options={SCOPES}
            value={filter.scope}
            onChange={(scope) => setFilter({ scope })}
          />
        )}
      </header>
      <search className={styles.bar} aria-label={words.list}>
        <FindField
          className={styles.find}
          label={words.find}
          value={filter.words}
          onChange={(typed) => setFilter({ words: typed })}
          clearLabel={words.clearFilter}
        />
        <Segmented
          label={words.state}
          options={STATES}
          value={filter.state}
          onChange={(state) => setFilter({ state })}
        />
        {what !== null && (
          <button
            type="button"
            className={styles.only}
            aria-label={words.clearOnly(what)}
            onClick={() => setFilter({ only: null })}
          >
            <bdi className="truncate">{what}</bdi>
            <X aria-hidden="true" />
          </button>
        )}
      </search>
    </>
  )
}
