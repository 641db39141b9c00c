// The palette over everything (Ctrl/Cmd-K): type to find a resource, a gateway or a command; it says what Enter does.
import { Command } from 'cmdk'
import { Search } from 'lucide-react'
import { useEffect, useMemo, useRef, useState } from 'react'
import type { AppSettings, GatewayDetail } from '../../shared/app-state.ts'
import { ConfirmDialog } from '../components/confirm-dialog.tsx'
import { Dialog } from '../components/dialog.tsx'
import { hasCommandKey, Kbd } from '../components/kbd.tsx'
import { useLoginQueue } from '../dialogs/login-queue.ts'
import { flowTexts } from '../flow-texts.ts'
import { formatAddress } from '../format.ts'
import { useCall } from '../state/call.ts'
import { closePalette, note, openPalette, useOverlays } from '../state/overlays.ts'
import { useResources } from '../state/resources.ts'
import { useApp, useCurrentProfile, useGateways, useProfiles } from '../state/selectors.ts'
import { texts } from '../texts.ts'
import { perform } from './actions.ts'
import styles from './command-palette.module.css'
import { buildEntries, type Entry } from './entries.ts'
import { EntryIcon } from './entry-icon.tsx'
import { rank } from './rank.ts'
import { noteRecent, readRecent } from './recent.ts'

const words = flowTexts.palette
const FIRST_THEME: AppSettings['theme'] = 'system'

export function CommandPalette() {
  const isOpen = useOverlays((overlays) => overlays.isPaletteOpen)
  const [closing, setClosing] = useState<GatewayDetail | null>(null)
  const chosen = useRef<Entry | null>(null)
  useShortcut()

  const act = (): void => {
    const entry = chosen.current
    chosen.current = null
    if (entry) void perform(entry.action, setClosing)
  }
  return (
    <>
      <Dialog
        isOpen={isOpen}
        isBare
        className={styles.palette}
        title={words.label}
        onClose={closePalette}
        onClosed={act}
      >
        <Finder
          onChoose={(entry) => {
            // Done once the palette is gone and the focus is back, so that what follows starts from there.
            chosen.current = entry
            noteRecent(entry.id)
            closePalette()
          }}
        />
      </Dialog>
      <ConfirmClose gateway={closing} onDone={() => setClosing(null)} />
    </>
  )
}

function Finder({ onChoose }: { onChoose: (entry: Entry) => void }) {
  const current = useCurrentProfile()
  const profiles = useProfiles()
  const gateways = useGateways()
  const theme = useApp((app) => app.settings.theme, FIRST_THEME)
  const resources = useResources(current?.profile ?? null)?.resources
  const [search, setSearch] = useState('')
  const [selected, setSelected] = useState('')
  const [recent] = useState(readRecent)
  const list = useRef<HTMLDivElement>(null)

  const entries = useMemo(
    () => buildEntries({ current, profiles, gateways, resources: resources ?? [], theme }),
    [current, profiles, gateways, resources, theme],
  )
  const sections = useMemo(() => rank(entries, search, recent), [entries, search, recent])
  const shown = sections.flatMap((section) => section.entries)
  // The first one, until another is chosen; and again when that is not found any more.
  const active = shown.find((entry) => entry.id === selected) ?? shown[0]

  return (
    <Command
      label={words.label}
      shouldFilter={false}
      vimBindings={false}
      loop
      value={active?.id ?? ''}
      onValueChange={setSelected}
    >
      <div className={styles.search}>
        <Search aria-hidden="true" />
        <Command.Input
          value={search}
          placeholder={words.placeholder}
          dir="auto"
          maxLength={200}
          onValueChange={(text) => {
            setSearch(text)
            setSelected('')
            list.current?.scrollTo({ top: 0 })
          }}
        />
      </div>
      <Command.List ref={list} className={styles.list} label={words.results}>
        {shown.length === 0 && (
          // An option, since a list of options must not be without one.
          <Command.Item disabled value="nothing" className={styles.empty}>
            <strong dir="auto">{words.empty(search.trim())}</strong>
            <span>{resources ? words.emptyHelp : words.loggedOut}</span>
          </Command.Item>
        )}
        {sections.map((section) => (
          <Command.Group key={section.key} heading={section.heading ?? undefined} className={styles.group}>
            {section.entries.map((entry) => (
              <Command.Item key={entry.id} value={entry.id} className={styles.item} onSelect={() => onChoose(entry)}>
                <EntryIcon action={entry.action} />
                <span className={styles.title} title={entry.title} dir="auto">
                  {entry.title}
                </span>
                <span className={styles.detail} title={entry.detail} dir="auto">
                  {entry.detail}
                </span>
              </Command.Item>
            ))}
            {section.more > 0 && <div className={styles.more}>{words.more(section.more)}</div>}
          </Command.Group>
        ))}
      </Command.List>
      <div className={styles.foot}>
        <span className={styles.enter}>
          {active && (
            <>
              <Kbd>Enter</Kbd> {active.enter}
            </>
          )}
        </span>
        <span>
          <Kbd>↑</Kbd> <Kbd>↓</Kbd> {words.keyNavigate}
        </span>
        <span>
          <Kbd>Esc</Kbd> {words.keyClose}
        </span>
      </div>
    </Command>
  )
}

function ConfirmClose({ gateway, onDone }: { gateway: GatewayDetail | null; onDone: () => void }) {
  const close = useCall('gateway.close')
  const confirm = async (): Promise<void> => {
    if (!gateway || !(await close.run({ gateway: gateway.id }))) return
    note(texts.gateways.closed(gateway.resource))
    onDone()
  }
  return (
    <ConfirmDialog
      isOpen={gateway !== null}
      title={gateway ? texts.gateways.closeTitle(gateway.resource) : ''}
      text={gateway ? texts.gateways.closeText(gateway.connections, formatAddress(gateway.host, gateway.port)) : ''}
      action={texts.gateways.close}
      isPending={close.isPending}
      error={close.error}
      onConfirm={() => void confirm()}
      onCancel={() => {
        close.reset()
        onDone()
      }}
    />
  )
}

/** Ctrl/Cmd-K opens and closes it from everywhere but a login, which has to be answered first. */
function useShortcut(): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      if (!hasCommandKey(event) || event.key.toLowerCase() !== 'k' || event.shiftKey || event.altKey) return
      event.preventDefault()
      if (useOverlays.getState().isPaletteOpen) closePalette()
      else if (useLoginQueue.getState().tasks.length === 0) openPalette()
    }
    window.addEventListener('keydown', onKeyDown, { capture: true })
    return () => window.removeEventListener('keydown', onKeyDown, { capture: true })
  }, [])
}
