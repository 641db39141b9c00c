// A fingerprint in groups of four, for comparing by eye or over the phone; read aloud group by group.
import styles from './first-run.module.css'
import { groupsOf } from './fingerprint.ts'

export function FingerprintGrid({ fingerprint, label }: { fingerprint: string; label: string }) {
  return (
    <ol className={styles.groups} aria-label={label} data-selectable>
      {groupsOf(fingerprint).map((group, index) => (
        // The groups of one fingerprint never change places.
        <li key={index}>
          <code>{group}</code>
        </li>
      ))}
    </ol>
  )
}
