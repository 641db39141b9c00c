// A fingerprint in groups of four, for comparing by eye or over the phone; read aloud group by group.
import styles from './first-run.module.css'
import { groupsOf } from './fingerprint.ts'

type FingerprintGridProps = {
  fingerprint: string
  label: string
  /** Groups that differ from this one are marked. */
  other?: string
}

export function FingerprintGrid({ fingerprint, label, other }: FingerprintGridProps) {
  const others = other === undefined ? undefined : groupsOf(other)
  return (
    <ol className={styles.groups} aria-label={label} data-selectable>
      {groupsOf(fingerprint).map((group, index) => (
        // The groups of one fingerprint never change places.
        <li key={index}>
          {others && others[index] !== group ? (
            <mark>
              <code>{group}</code>
            </mark>
          ) : (
            <code>{group}</code>
          )}
        </li>
      ))}
    </ol>
  )
}
