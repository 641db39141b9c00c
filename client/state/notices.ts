// What the person may want to know later: kept while the core lives, at most 200, equal ones grouped. Hosts that are attached
// are told each one as before; the first host that comes is told what was said before it. Called by core.ts.
import type { Logger } from 'pino'
import type { NoticeView } from '../../shared/app-state.ts'
import type { EventPayload } from '../../shared/rpc.ts'
import type { Host, Hosts } from '../control/hosts.ts'
import type { KeyedSource } from './mirror.ts'

export type NewNotice = {
  level: NoticeView['level']
  text: string
  profile?: string | null
  gateway?: string | null
  /** Said once until it was read: a repetition counts in the list and is told to nobody (G10). */
  isOnce?: boolean
}

export type Notices = KeyedSource<NoticeView> & {
  add(notice: NewNotice): void
  read(ids: readonly string[]): void
  clear(): void
  /** A host came: it hears what was said while there was none. */
  tellEarly(host: Host): void
}

type Options = {
  hosts: Hosts
  now: () => number
  randomId: () => string
  /** Which notice is new, other or gone; undefined: any. */
  onChanged: (id: string | undefined) => void
  log: Logger
}

const NOTICES_MAX = 200
/** Texts of servers may be long. */
const TEXT_MAX_CHARS = 2000
/** Notices kept for the first host that comes. */
const EARLY_MAX = 20

export function createNotices({ hosts, now, randomId, onChanged, log }: Options): Notices {
  /** By id, the one that was said longest ago first. */
  const notices = new Map<string, NoticeView>()
  const early: EventPayload<'notice'>[] = []

  const tell = (payload: EventPayload<'notice'>): void => {
    if (hosts.list().length > 0) hosts.broadcast('notice', payload)
    else if (early.length < EARLY_MAX) early.push(payload)
  }

  return {
    keys: () => notices.keys(),
    view: (id) => notices.get(id),
    add({ level, text: whole, profile = null, gateway = null, isOnce = false }) {
      log.warn({ notice: whole, profile }, 'notice')
      const text = whole.slice(0, TEXT_MAX_CHARS)
      const at = new Date(now()).toISOString()
      const same = [...notices.values()].find(
        (one) => one.level === level && one.text === text && one.profile === profile && one.gateway === gateway,
      )
      const notice: NoticeView = same
        ? { ...same, count: same.count + 1, lastAt: at, isRead: false }
        : { id: randomId(), level, text, profile, gateway, count: 1, firstAt: at, lastAt: at, isRead: false }
      notices.delete(notice.id)
      notices.set(notice.id, notice)
      onChanged(notice.id)
      const [oldest] = notices.keys()
      if (notices.size > NOTICES_MAX && oldest !== undefined) {
        notices.delete(oldest)
        onChanged(oldest)
      }
      if (!isOnce || !same || same.isRead) tell({ level, text, profile })
    },
    read(ids) {
      for (const id of ids) {
        const notice = notices.get(id)
        if (!notice || notice.isRead) continue
        notices.set(id, { ...notice, isRead: true })
        onChanged(id)
      }
    },
    clear() {
      notices.clear()
      onChanged(undefined)
    },
    tellEarly(host) {
      for (const payload of early.splice(0)) host.send('notice', payload)
    },
  }
}
