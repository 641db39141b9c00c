// What happened while one was not looking: notices by day, newest first, equal ones counted together by the core.
import { Bell, BellOff, CheckCheck, Trash2 } from 'lucide-react'
import { useMemo, useState } from 'react'
import type { NoticeView } from '../../../shared/app-state.ts'
import { Button } from '../../components/button.tsx'
import { ConfirmDialog } from '../../components/confirm-dialog.tsx'
import { EmptyState } from '../../components/empty-state.tsx'
import { Page, PageSection } from '../../components/page.tsx'
import { Segmented } from '../../components/segmented.tsx'
import { flowTexts } from '../../flow-texts.ts'
import { asPosternError, call, useCall } from '../../state/call.ts'
import { note } from '../../state/overlays.ts'
import { useApp, useIsLive } from '../../state/selectors.ts'
import { useNow } from '../../state/use-now.ts'
import { daysOf, type NoticeFilter } from './days.ts'
import { NoticeRow } from './notice-row.tsx'
import styles from './notices.module.css'

const words = flowTexts.notices
const NONE: Readonly<Record<string, NoticeView>> = {}
const FILTERS: readonly { value: NoticeFilter; title: string }[] = [
  { value: 'all', title: words.all },
  { value: 'unread', title: words.unread },
  { value: 'problems', title: words.problems },
]
/** How often "just now" and the names of days are looked at again, in ms. */
const CLOCK_STEP_MS = 60_000

export function Notices() {
  const notices = useApp((app) => app.notices, NONE)
  const now = useNow(CLOCK_STEP_MS)
  const isLive = useIsLive()
  const [filter, setFilter] = useState<NoticeFilter>('all')
  const [isClearing, setClearing] = useState(false)
  const days = useMemo(() => daysOf(Object.values(notices), filter, now), [notices, filter, now])
  const unread = useMemo(() => Object.values(notices).filter((notice) => !notice.isRead), [notices])
  const count = Object.keys(notices).length

  return (
    <Page
      title={words.title}
      isEmpty={days.length === 0}
      note={count > 0 ? words.count(count) : undefined}
      actions={
        count > 0 && (
          <>
            <Segmented label={words.filter} options={FILTERS} value={filter} onChange={setFilter} />
            <Button icon={<CheckCheck />} disabled={unread.length === 0 || !isLive} onClick={() => markRead(unread)}>
              {words.markRead}
            </Button>
            <Button icon={<Trash2 />} disabled={!isLive} onClick={() => setClearing(true)}>
              {words.clear}
            </Button>
          </>
        )
      }
    >
      {days.length === 0 ? (
        <NothingHere filter={count === 0 ? 'all' : filter} onShowAll={() => setFilter('all')} />
      ) : (
        days.map((day) => (
          <PageSection key={day.key} title={day.title}>
            <ul className={styles.list}>
              {day.notices.map((notice) => (
                <NoticeRow key={notice.id} notice={notice} now={now} onRead={() => markRead([notice])} />
              ))}
            </ul>
          </PageSection>
        ))
      )}
      <ConfirmClear isOpen={isClearing} onDone={() => setClearing(false)} />
    </Page>
  )
}

function NothingHere({ filter, onShowAll }: { filter: NoticeFilter; onShowAll: () => void }) {
  const all = <Button onClick={onShowAll}>{words.showAll}</Button>
  switch (filter) {
    case 'all':
      return <EmptyState icon={<Bell />} title={words.empty} text={words.emptyText} />
    case 'unread':
      return <EmptyState icon={<CheckCheck />} title={words.emptyUnread} text={words.emptyUnreadText} action={all} />
    case 'problems':
      return <EmptyState icon={<BellOff />} title={words.emptyProblems} text={words.emptyProblemsText} action={all} />
  }
}

function ConfirmClear({ isOpen, onDone }: { isOpen: boolean; onDone: () => void }) {
  const clear = useCall('notice.clear')
  const confirm = async (): Promise<void> => {
    if (await clear.run({})) onDone()
  }
  return (
    <ConfirmDialog
      isOpen={isOpen}
      title={words.clearTitle}
      text={words.clearText}
      action={words.clearConfirm}
      isPending={clear.isPending}
      error={clear.error}
      onConfirm={() => void confirm()}
      onCancel={onDone}
    />
  )
}

function markRead(notices: readonly NoticeView[]): void {
  const ids = notices.map((notice) => notice.id)
  call('notice.read', { ids }).catch((failure: unknown) => note(asPosternError(failure).message))
}
