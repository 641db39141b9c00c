// One statement of the timeline. A long text shows its beginning, and all of it on demand; what was searched for is marked.
import { useState } from 'react'
import { classNames } from '../../components/class-names.ts'
import { formatMoment, formatSeconds } from '../../format.ts'
import { texts } from '../../texts.ts'
import type { Statement } from './statement-of.ts'
import styles from './statements.module.css'

const words = texts.sessions
/** What is shown of a long text, in lines and in characters. */
const LINES = 6
const CHARACTERS = 600

export function StatementRow({
  statement,
  search,
  isConnectionShown,
  clockOffsetMs,
}: {
  statement: Statement
  search: string
  isConnectionShown: boolean
  clockOffsetMs: number
}) {
  const [isWhole, setWhole] = useState(false)
  const { sql, kind, outcome, duration, isBad, isCut, connection } = statement
  const at = new Date(Date.parse(statement.time) - clockOffsetMs)
  const short = sql === null ? null : beginningOf(sql)
  const isLong = sql !== null && short !== sql
  return (
    <li className={classNames(styles.row, isBad && styles.bad)}>
      <time className={styles.time} dateTime={at.toISOString()} title={formatMoment(at.toISOString())}>
        {formatSeconds(at)}
      </time>
      <span className={styles.knot} aria-hidden="true" />
      <div className={styles.what}>
        {kind !== null && <span className={styles.kind}>{kind}</span>}
        {sql === null ? (
          kind === null && <span className={styles.kind}>{words.noText}</span>
        ) : (
          <code className={styles.sql} dir="auto">
            <Marked text={isWhole ? sql : (short ?? sql)} search={search} />
            {isLong && !isWhole && ' …'}
          </code>
        )}
        {isLong && (
          <button type="button" className={styles.more} aria-expanded={isWhole} onClick={() => setWhole(!isWhole)}>
            {isWhole ? words.showLess : words.showAll}
          </button>
        )}
      </div>
      <div className={styles.outcome}>
        <span className={styles.became}>{outcome}</span>
        {duration !== null && <span className={styles.took}>{duration}</span>}
        {isCut && <span>{words.cut}</span>}
        {isConnectionShown && connection !== null && (
          <span title={connection}>{words.onConnection(connection.slice(0, 4))}</span>
        )}
      </div>
    </li>
  )
}

/** The first lines; all of it where little would be left out. */
function beginningOf(sql: string): string {
  const lines = sql.split('\n')
  const first = lines.slice(0, LINES).join('\n')
  if (lines.length <= LINES + 1 && sql.length <= CHARACTERS * 1.2) return sql
  return first.length > CHARACTERS ? first.slice(0, CHARACTERS) : first
}

function Marked({ text, search }: { text: string; search: string }) {
  // Lower case may be longer than what it stands for (İ): then nothing is marked rather than the wrong thing.
  const lower = text.toLowerCase()
  const wanted = search.toLowerCase()
  if (wanted === '' || lower.length !== text.length) return text
  const parts = []
  let from = 0
  for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, from)) {
    parts.push(text.slice(from, at), <mark key={at}>{text.slice(at, at + wanted.length)}</mark>)
    from = at + wanted.length
  }
  return [...parts, text.slice(from)]
}
