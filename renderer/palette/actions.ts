// Carries out what was chosen in the palette, and says how it went. What ends connections is asked about first.
import type { GatewayDetail } from '../../shared/app-state.ts'
import { logOut, selectProfile } from '../dialogs/profile-menu.tsx'
import { flowTexts } from '../flow-texts.ts'
import { formatAddress } from '../format.ts'
import { navigate } from '../navigation.ts'
import { showSessions } from '../screens/sessions/sessions-view.ts'
import { askLogin, asPosternError, call, copyText } from '../state/call.ts'
import { note } from '../state/overlays.ts'
import { texts } from '../texts.ts'
import type { EntryAction } from './entries.ts'

const words = flowTexts.palette

/** `confirmClose` asks the person; never rejects, failures are told in a note. */
export async function perform(action: EntryAction, confirmClose: (gateway: GatewayDetail) => void): Promise<void> {
  try {
    await carryOut(action, confirmClose)
  } catch (failure) {
    note(asPosternError(failure).message)
  }
}

async function carryOut(action: EntryAction, confirmClose: (gateway: GatewayDetail) => void): Promise<void> {
  switch (action.kind) {
    case 'go':
      navigate(action.route)
      if (action.focus !== undefined) focusSoon(action.focus)
      return
    case 'open': {
      const { profile, resource, account } = action
      const { gateway } = await call('gateway.open', { profile, resource, account, keep: 'detached' })
      note(words.opened(resource, formatAddress(gateway.host, gateway.port)))
      navigate({ screen: 'gateways', gateway: gateway.id })
      return
    }
    case 'everyonesSessions':
      showSessions({ scope: 'all' })
      return
    case 'copy':
      note((await copyText(action.text)) ? words.copied(action.text) : words.notCopied)
      return
    case 'close':
      if (action.gateway.connections > 0) confirmClose(action.gateway)
      else await closeGateway(action.gateway)
      return
    case 'closeIdle':
      await Promise.all(action.gateways.map((gateway) => call('gateway.close', { gateway: gateway.id })))
      note(words.closedIdle(action.gateways.length))
      return
    case 'logIn':
      askLogin(action.profile)
      return
    case 'logOut':
      logOut(action.profile)
      return
    case 'select':
      selectProfile(action.profile)
      return
    case 'theme':
      await call('settings.update', { theme: action.theme })
  }
}

async function closeGateway(gateway: GatewayDetail): Promise<void> {
  await call('gateway.close', { gateway: gateway.id })
  note(texts.gateways.closed(gateway.resource))
}

/** The control of a setting; its screen has to be there first. */
function focusSoon(id: string): void {
  const focus = (): void => document.querySelector<HTMLElement>(`#${id} input:checked, #${id} input`)?.focus()
  requestAnimationFrame(() => requestAnimationFrame(focus))
}
