// The whole way of a connection of one gateway, step by step, as a person tests it: certificate, access server, and what
// the protocol itself can be asked. Asks nobody to log in; stops at the step that fails, with the text of that end. Called by core.ts.
import type { ConnectionTest } from '../../shared/app-state.ts'
import { PosternError } from '../../shared/errors.ts'
import { dialRoute } from '../cluster/dial.ts'
import type { Renewal } from '../renewal/renewal.ts'
import { startStopwatch } from '../../shared/stopwatch.ts'
import type { Gateway } from './gateway.ts'
import { judgeCertificate } from './middleware.ts'

type Step = ConnectionTest['steps'][number]

/** For the whole test, in ms. */
const TEST_DEADLINE_MS = 30_000

/** Tests a gateway. Never rejects because a step failed: which one and why is in the result. */
export async function testConnection(gateway: Gateway, renewal: Renewal, signal: AbortSignal): Promise<ConnectionTest> {
  const { profile, route, protocol, database } = gateway
  const deadline = AbortSignal.timeout(TEST_DEADLINE_MS)
  const bound = AbortSignal.any([deadline, signal])
  const steps: Step[] = []
  const whole = startStopwatch()

  /** Runs one step; the text is told where it succeeds too, if it has one. */
  const step = async <T>(name: string, run: () => Promise<{ value: T; text: string | null }>): Promise<T> => {
    const elapsed = startStopwatch()
    try {
      const { value, text } = await run()
      steps.push({ name, ok: true, ms: elapsed(), text })
      return value
    } catch (error) {
      const text = deadline.aborted ? `no answer within ${TEST_DEADLINE_MS / 1000} s` : textOf(error)
      steps.push({ name, ok: false, ms: elapsed(), text })
      throw error
    }
  }

  try {
    const certificate = await step('certificate', async () => {
      const known = renewal.certificates.find(gateway.id)
      const wanted = { cluster: profile.name, user: profile.user }
      const isGood = judgeCertificate(known, wanted, profile.clock.now()) === 'good'
      if (known && isGood) return { value: known, text: 'still good' }
      return { value: await renewal.reissue(route, bound), text: 'renewed' }
    })
    const { link } = await step('access server', async () => {
      const { cluster, clock } = profile
      const { alpn } = protocol
      const { tunnels } = gateway
      const dialing = { cluster, alpn, certificate, tunnels, noteServerTime: clock.note, signal: bound }
      const value = await dialRoute(dialing)
      // Its session ends with the gateway like all others.
      gateway.usedRouteIds.add(certificate.identity.routeId)
      return { value, text: profile.cluster.address.text }
    })
    const stop = () => link.destroy()
    bound.addEventListener('abort', stop, { once: true })
    try {
      const runStep = (name: string, run: () => Promise<string | null>) =>
        step(name, async () => ({ value: undefined, text: await run() }))
      await protocol.probe(link.stream, { account: route.account, database }, runStep, bound)
    } finally {
      bound.removeEventListener('abort', stop)
      link.destroy()
    }
    return { ok: true, totalMs: whole(), steps }
  } catch (error) {
    if (signal.aborted) throw error
    return { ok: false, totalMs: whole(), steps }
  }
}

function textOf(error: unknown): string {
  if (error instanceof PosternError)
    return error.errorId ? `${error.message} (error id ${error.errorId})` : error.message
  return error instanceof Error ? error.message : String(error)
}
