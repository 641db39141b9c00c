// A long list of which only the visible rows are in the page. One row is selected; arrow keys, Home, End and Page keys move
// it and take the focus along, Enter activates it. Rows are list items with a button, so a row may have actions of its own.
import { useVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useRef, type KeyboardEvent, type ReactNode } from 'react'
import { classNames } from './class-names.ts'
import styles from './virtual-list.module.css'

type VirtualListProps<T> = {
  label: string
  items: readonly T[]
  /** Height of every row, in px. */
  rowHeight: number
  getKey: (item: T) => string
  selectedKey: string | null
  onSelect: (item: T) => void
  /** Enter or a double click. */
  onActivate: (item: T) => void
  /** What stands in the row's button. */
  renderRow: (item: T) => ReactNode
  /** What stands beside the button; `tabIndex` for its controls, so that only the selected row's are on Tab's way. */
  renderAction?: (item: T, tabIndex: 0 | -1) => ReactNode
}

export function VirtualList<T>({
  label,
  items,
  rowHeight,
  getKey,
  selectedKey,
  onSelect,
  onActivate,
  renderRow,
  renderAction,
}: VirtualListProps<T>) {
  const scroller = useRef<HTMLDivElement>(null)
  /** The row that takes the focus once it is there. */
  const focusNext = useRef<string | null>(null)
  // eslint-disable-next-line react-hooks/incompatible-library -- about the React compiler, which is not used
  const virtualizer = useVirtualizer({
    count: items.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: 6,
  })
  const selectedIndex = selectedKey === null ? -1 : items.findIndex((item) => getKey(item) === selectedKey)
  const rows = virtualizer.getVirtualItems()
  // Tab enters the list at the selected row, or at the first visible one.
  const tabStop = rows.some((row) => row.index === selectedIndex) ? selectedIndex : (rows[0]?.index ?? -1)

  useEffect(() => {
    if (selectedIndex >= 0) virtualizer.scrollToIndex(selectedIndex, { align: 'auto' })
  }, [selectedIndex, virtualizer])

  useEffect(() => {
    if (focusNext.current === null) return
    const button = [...(scroller.current?.querySelectorAll<HTMLElement>('[data-row]') ?? [])].find(
      (element) => element.dataset['row'] === focusNext.current,
    )
    if (!button) return
    focusNext.current = null
    button.focus({ preventScroll: true })
  })

  function onKeyDown(event: KeyboardEvent<HTMLDivElement>): void {
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? rowHeight) / rowHeight) - 1)
    const target = targetIndex(event.key, tabStop, items.length, page)
    const item = target === null ? undefined : items[target]
    if (item === undefined || event.altKey || event.ctrlKey || event.metaKey) return
    event.preventDefault()
    focusNext.current = getKey(item)
    onSelect(item)
    if (target !== null) virtualizer.scrollToIndex(target, { align: 'auto' })
  }

  return (
    <div ref={scroller} className={styles.scroller} onKeyDown={onKeyDown}>
      <ul className={styles.list} aria-label={label} style={{ height: virtualizer.getTotalSize() }}>
        {rows.map((row) => {
          const item = items[row.index]
          if (item === undefined) return null
          const key = getKey(item)
          const isSelected = row.index === selectedIndex
          return (
            <li
              key={key}
              className={classNames(styles.row, isSelected && styles.selected)}
              style={{ height: rowHeight, transform: `translateY(${row.start}px)` }}
              aria-setsize={items.length}
              aria-posinset={row.index + 1}
            >
              <button
                type="button"
                data-row={key}
                className={styles.button}
                tabIndex={row.index === tabStop ? 0 : -1}
                aria-current={isSelected ? 'true' : undefined}
                onClick={() => onSelect(item)}
                onDoubleClick={() => onActivate(item)}
                onKeyDown={(event) => {
                  if (event.key !== 'Enter') return
                  event.preventDefault()
                  onActivate(item)
                }}
              >
                {renderRow(item)}
              </button>
              {renderAction?.(item, isSelected ? 0 : -1)}
            </li>
          )
        })}
      </ul>
    </div>
  )
}

function targetIndex(key: string, from: number, count: number, page: number): number | null {
  const within = (index: number): number => Math.min(count - 1, Math.max(0, index))
  switch (key) {
    case 'ArrowDown':
      return within(from + 1)
    case 'ArrowUp':
      return within(from - 1)
    case 'PageDown':
      return within(from + page)
    case 'PageUp':
      return within(from - page)
    case 'Home':
      return within(0)
    case 'End':
      return within(count - 1)
    default:
      return null
  }
}
