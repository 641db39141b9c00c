// One line under the top bar when what is shown cannot be trusted: connection lost, core starting again, cluster offline.
import { CloudOff, RefreshCw, TriangleAlert } from 'lucide-react'
import type { ReactNode } from 'react'
import { classNames } from '../components/class-names.ts'
import { useCurrentProfile } from '../state/selectors.ts'
import { useMirror } from '../state/store.ts'
import { texts } from '../texts.ts'
import styles from './banner.module.css'

export function Banner() {
  const link = useMirror((mirror) => mirror.link)
  const core = useMirror((mirror) => mirror.core)
  const profile = useCurrentProfile()
  const banner = choose()
  return (
    <div role="status" className={styles.place}>
      {banner && (
        <div className={classNames(styles.banner, banner.isBad && styles.bad)}>
          {banner.icon}
          <span className="truncate" title={banner.text} dir="auto">
            {banner.text}
          </span>
        </div>
      )}
    </div>
  )

  function choose(): { icon: ReactNode; text: string; isBad: boolean } | null {
    if (core.state === 'failed') {
      const cause = core.text === null ? '' : ` ${core.text}`
      return { icon: <TriangleAlert aria-hidden="true" />, text: `${texts.connection.failed}${cause}`, isBad: true }
    }
    if (core.state === 'restarting') {
      return { icon: <RefreshCw aria-hidden="true" />, text: texts.connection.restarting, isBad: false }
    }
    if (link === 'away') return { icon: <RefreshCw aria-hidden="true" />, text: texts.connection.away, isBad: false }
    if (profile?.state === 'offline') {
      return { icon: <CloudOff aria-hidden="true" />, text: texts.connection.offline(profile.profile), isBad: false }
    }
    return null
  }
}
