// Tells hosts that a gateway has changed: a `gateway.changed` event per real change, at most ten a second for each gateway
// however many connections come and go. Called by core.ts.
import type { Hosts } from '../control/hosts.ts'
import type { Gateway } from './gateway.ts'

export type GatewayReports = {
  changed(gateway: Gateway): void
  /** Reports what is still pending, and stops. */
  close(): void
}

const REPORT_INTERVAL_MS = 100

export function createGatewayReports(hosts: Hosts): GatewayReports {
  const pending = new Map<string, { gateway: Gateway; timer: NodeJS.Timeout }>()
  const lastSent = new Map<string, string>()

  const report = (id: string): void => {
    const view = pending.get(id)?.gateway.view()
    pending.delete(id)
    const text = JSON.stringify(view)
    if (!view || lastSent.get(id) === text) return
    lastSent.set(id, text)
    hosts.broadcast('gateway.changed', view)
  }

  return {
    changed(gateway) {
      const waiting = pending.get(gateway.id)
      if (waiting) {
        // It may have been closed and opened again meanwhile: the one that is there now counts.
        waiting.gateway = gateway
        return
      }
      const timer = setTimeout(() => report(gateway.id), REPORT_INTERVAL_MS)
      timer.unref()
      pending.set(gateway.id, { gateway, timer })
    },
    close() {
      for (const [id, { timer }] of [...pending]) {
        clearTimeout(timer)
        report(id)
      }
    },
  }
}
