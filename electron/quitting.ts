// What quitting would break, and the question about it. Pure.
import type { AppState } from '../shared/app-state.ts'

/** Connections that would be cut; 0 while nothing is known, so that a broken core never keeps an app open. */
export const livingConnections = (state: AppState | undefined): number =>
  Object.values(state?.gateways ?? {}).reduce((sum, gateway) => sum + gateway.connections, 0)

/** `quits` is the index of the answer that means it. */
export const quitQuestion = (connections: number) => ({
  quits: 1,
  options: {
    type: 'question' as const,
    title: 'Quit Postern?',
    message: connections === 1 ? 'One connection is open.' : `${connections} connections are open.`,
    detail:
      'Quitting ends them and closes the gateways of this app. To keep gateways without a window, turn on background mode in the settings.',
    buttons: ['Cancel', 'Quit'],
    defaultId: 0,
    cancelId: 0,
  },
})
