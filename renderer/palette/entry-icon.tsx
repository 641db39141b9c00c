// What kind of thing an entry of the palette is, as a sign beside its words.
import {
  Activity,
  ArrowLeftRight,
  ArrowRight,
  Copy,
  Database,
  LogIn,
  LogOut,
  SunMoon,
  Unplug,
  type LucideIcon,
} from 'lucide-react'
import { GateIcon } from '../shell/gate-icon.tsx'
import type { EntryAction } from './entries.ts'

const ICONS: Record<Exclude<EntryAction['kind'], 'go'>, LucideIcon> = {
  open: Database,
  copy: Copy,
  close: Unplug,
  closeIdle: Unplug,
  logIn: LogIn,
  logOut: LogOut,
  select: ArrowLeftRight,
  theme: SunMoon,
  everyonesSessions: Activity,
}

export function EntryIcon({ action }: { action: EntryAction }) {
  if (action.kind === 'go') {
    return action.route.screen === 'gateways' && action.route.gateway !== null ? (
      <GateIcon />
    ) : (
      <ArrowRight aria-hidden="true" />
    )
  }
  const Icon = ICONS[action.kind]
  return <Icon aria-hidden="true" />
}
