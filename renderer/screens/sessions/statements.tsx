// What a session ran, as a timeline with the newest first: when, the text, what became of it and how long it took; searched at the
// server, which has all of it.
import { useEffect, useState } from 'react'
import type { ProfileView } from '../../../shared/rpc.ts'
import type { SessionView } from '../../../shared/session-api.ts'
import { Button } from '../../components/button.tsx'
import { classNames } from '../../components/class-names.ts'
import { ErrorLine } from '../../components/empty-state.tsx'
import { FindField } from '../../components/find-field.tsx'
import { Spinner } from '../../components/spinner.tsx'
import { formatAgo, HAS_HALF_DAYS } from '../../format.ts'
import { useStatements } from '../../state/statements.ts'
import { useNow } from '../../state/use-now.ts'
import { texts } from '../../texts.ts'
import { statementOf } from './statement-of.ts'
import { StatementRow } from './statement-row.tsx'
import styles from './statements.module.css'

const words = texts.sessions
/** Typing is over when nothing was typed for so long, in ms. */
const SETTLED_MS = 250

export function Statements({ session, profile }: { session: SessionView; profile: ProfileView }) {
  const [typed, setTyped] = useState('')
  const search = useSettled(typed.trim())
  const isRead = session.protocol !== 'tcp'
  return (
    <section aria-labelledby="session-statements">
      <header className={styles.head}>
        <h3 id="session-statements">{words.statements}</h3>
        {isRead && (
          <>
            <span className={styles.count}>
              <Counts session={session} clockOffsetMs={profile.clockOffsetMs} />
            </span>
            <search className={styles.find}>
              <FindField
                label={words.searchStatements}
                value={typed}
                onChange={setTyped}
                clearLabel={words.clearFilter}
                maxLength={200}
              />
            </search>
          </>
        )}
      </header>
      {isRead ? (
        <Timeline session={session} profile={profile} search={search} />
      ) : (
        <p className={styles.nothing}>{words.notRead}</p>
      )}
    </section>
  )
}

function Counts({ session, clockOffsetMs }: { session: SessionView; clockOffsetMs: number }) {
  const now = useNow()
  const { statements, lastStatementAt, state } = session
  if (statements === 0 || lastStatementAt === null) return null
  const last = new Date(Date.parse(lastStatementAt) - clockOffsetMs).toISOString()
  const count = words.statementCount(statements)
  return state === 'ended' ? count : `${count}, ${words.lastStatement(formatAgo(last, now))}`
}

function Timeline({ session, profile, search }: { session: SessionView; profile: ProfileView; search: string }) {
  const listing = useStatements(profile.profile, session.id, search, session.statements)
  const { events, next, error, status, loadMore, isLoadingMore } = listing
  const isSearching = search !== ''
  const hasSeveral = new Set(events.map(({ connection }) => connection)).size > 1
  if (status === 'loading') return <Spinner />
  return (
    <>
      {error && (
        <p className={styles.failed}>
          {words.statementsFailed} <ErrorLine error={error} />
        </p>
      )}
      {events.length === 0 && !error && (
        <p className={styles.nothing} role="status">
          {!isSearching ? words.noStatements : next === null ? words.noStatementMatches : words.notFoundYet}
        </p>
      )}
      {events.length > 0 && (
        <ol className={classNames(styles.timeline, HAS_HALF_DAYS && styles.halfDays)} aria-label={words.statements}>
          {events.map((event) => (
            <StatementRow
              key={event.seq}
              statement={statementOf(event)}
              search={search}
              isConnectionShown={hasSeveral}
              clockOffsetMs={profile.clockOffsetMs}
            />
          ))}
        </ol>
      )}
      {next !== null && (
        <Button isPending={isLoadingMore} onClick={loadMore}>
          {words.earlier}
        </Button>
      )}
    </>
  )
}

/** The value once it has not changed for a moment. */
function useSettled(value: string): string {
  const [settled, setSettled] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), SETTLED_MS)
    return () => clearTimeout(timer)
  }, [value])
  return settled
}
