// One notice: how bad by shape and word, what, where and when, how often; the way to its gateway while that is open.
import { Check, CircleAlert, Info, TriangleAlert } from 'lucide-react'
import type { NoticeView } from '../../../shared/app-state.ts'
import { Button, IconButton } from '../../components/button.tsx'
import { classNames } from '../../components/class-names.ts'
import { flowTexts } from '../../flow-texts.ts'
import { formatMoment, formatTime } from '../../format.ts'
import { navigate } from '../../navigation.ts'
import { useGateway } from '../../state/selectors.ts'
import styles from './notices.module.css'

const words = flowTexts.notices
const ICONS = { info: Info, warning: TriangleAlert, error: CircleAlert }

export function NoticeRow({ notice, now, onRead }: { notice: NoticeView; now: number; onRead: () => void }) {
  const gateway = useGateway(notice.gateway)
  const Icon = ICONS[notice.level]
  return (
    <li className={classNames(styles.row, !notice.isRead && styles.unread)}>
      <Icon className={styles[notice.level]} role="img" aria-label={words[notice.level]} />
      <div className={styles.what}>
        <p dir="auto">
          {notice.text}
          {!notice.isRead && <span className="visually-hidden"> {words.unreadMark}</span>}
        </p>
        <div className={styles.meta}>
          <span className="truncate" dir="auto" title={notice.profile ?? undefined}>
            {notice.profile ?? words.general}
          </span>
          <time dateTime={notice.lastAt} title={formatMoment(notice.lastAt)}>
            {formatTime(notice.lastAt, now)}
          </time>
          {notice.count > 1 && (
            <span title={words.since(formatMoment(notice.firstAt))}>
              {words.times(notice.count, formatTime(notice.firstAt, now))}
            </span>
          )}
        </div>
      </div>
      <div className={styles.actions}>
        {gateway && (
          <Button
            size="small"
            aria-label={words.goToNamed(gateway.resource)}
            onClick={() => {
              if (!notice.isRead) onRead()
              navigate({ screen: 'gateways', gateway: gateway.id })
            }}
          >
            {words.goTo}
          </Button>
        )}
        {!notice.isRead && (
          <IconButton label={words.markOneRead} onClick={onRead}>
            <Check />
          </IconButton>
        )}
      </div>
    </li>
  )
}
