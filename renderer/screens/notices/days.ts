// Notices by the day on which they last happened, newest first. Pure.
import type { NoticeView } from '../../../shared/app-state.ts'
import { flowTexts } from '../../flow-texts.ts'

export type NoticeFilter = 'all' | 'unread' | 'problems'
export type NoticeDay = { key: string; title: string; notices: NoticeView[] }

/** `now`: ms since the epoch; days are those of the person's time zone. */
export function daysOf(notices: readonly NoticeView[], filter: NoticeFilter, now: number): NoticeDay[] {
  const days: NoticeDay[] = []
  const newestFirst = notices
    .filter((notice) => matches(notice, filter))
    .sort((a, b) => b.lastAt.localeCompare(a.lastAt) || a.id.localeCompare(b.id))
  for (const notice of newestFirst) {
    const key = new Date(notice.lastAt).toDateString()
    const day = days.at(-1)
    if (day?.key === key) day.notices.push(notice)
    else days.push({ key, title: dayTitle(new Date(notice.lastAt), now), notices: [notice] })
  }
  return days
}

function matches(notice: NoticeView, filter: NoticeFilter): boolean {
  switch (filter) {
    case 'all':
      return true
    case 'unread':
      return !notice.isRead
    case 'problems':
      return notice.level !== 'info'
  }
}

function dayTitle(day: Date, now: number): string {
  const today = new Date(now)
  const yesterday = new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1)
  if (day.toDateString() === today.toDateString()) return flowTexts.notices.today
  if (day.toDateString() === yesterday.toDateString()) return flowTexts.notices.yesterday
  return day.toLocaleDateString(undefined, { weekday: 'long', day: 'numeric', month: 'long' })
}
