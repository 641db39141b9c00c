// A real gateway that a model walks beside (D3): a core with clock and timers of the test's own, a window that can ask, a script that
// cannot, and the client that is held, if any. Used by the walk of gateways.
import { once } from 'node:events'
import { createServer } from 'node:net'
import { AppState } from '../../shared/app-state.ts'
import type { GatewayState, GatewayView } from '../../shared/rpc.ts'
import { RawClient, TestCore, waitUntil, type TestHost } from './client-core.ts'
import { PASSWORD } from './fake-access-server.ts'
import { ManualTimers } from './manual-timers.ts'

export const HOUR_MS = 3_600_000
/** Lives of the user's and of the route's certificate, in ms. */
export const LOGIN_MS = 10 * HOUR_MS
const ROUTE_MS = HOUR_MS

export class WalkedGateway {
  readonly test: TestCore
  readonly timers: ManualTimers
  readonly port: number
  readonly id: string
  /** A window, which can ask, and a script, which cannot. */
  window!: TestHost
  script!: TestHost
  client: RawClient | undefined

  private constructor(test: TestCore, timers: ManualTimers, gateway: GatewayView) {
    this.test = test
    this.timers = timers
    this.port = gateway.port
    this.id = gateway.id
  }

  static async start(): Promise<WalkedGateway> {
    const timers = new ManualTimers()
    const test = await TestCore.start({ after: timers.after })
    test.server.userTtlMs = LOGIN_MS
    test.server.routeTtlMs = ROUTE_MS
    const host = await test.attach({ kind: 'terminal' })
    await test.login(host)
    const walked = new WalkedGateway(test, timers, await test.open(host, 'orders', 'detached'))
    await walked.attach()
    await host.core.close()
    return walked
  }

  async attach(): Promise<void> {
    this.window = await this.test.attach({ kind: 'window' })
    this.script = await this.test.attach({ kind: 'terminal', canAsk: false })
  }

  async view(): Promise<GatewayView | undefined> {
    const { gateways } = await this.script.core.call('gateway.list', {})
    return gateways.find(({ id }) => id === this.id)
  }

  state = async (): Promise<GatewayState> => (await this.view())?.state ?? 'closed'

  /** Both clocks, and with them every certificate, get older. */
  async pass(ms: number): Promise<void> {
    // An answer on its way (how people can log in is asked beside a request) would bring the time of before: it comes first.
    for (let call = 0; call < 2; call++) await this.script.core.call('resource.list', {}).catch(() => undefined)
    this.test.clockShiftMs += ms
    const shiftMs = this.test.clockShiftMs
    this.test.server.now = () => Date.now() + shiftMs
  }

  async logIn(user: string): Promise<void> {
    await this.window.core.call('login.submit', { user, password: PASSWORD })
    await this.settled()
  }

  /** A client comes and is connected, refused or held. */
  async connect(): Promise<void> {
    const client = await RawClient.connect(this.port)
    await waitUntil(
      async () => client.text !== '' || client.isEnded || (await this.view())?.waiting === 1,
      'the client to be taken care of',
    )
    if (client.text === '' && !client.isEnded) this.client = client
    else await this.gone(client)
  }

  async gone(client: RawClient): Promise<void> {
    client.socket.destroy()
    await waitUntil(async () => ((await this.view())?.connections ?? 0) === 0, 'the connection to be over')
  }

  /** Whoever was held has been told what became of it. */
  async settled(): Promise<void> {
    const { client } = this
    this.client = undefined
    if (!client) return
    await waitUntil(() => client.text !== '' || client.isEnded || client.socket.destroyed, 'an answer to the client')
    await this.gone(client)
  }

  async requestId(): Promise<string> {
    const page = await this.test.attach({ kind: 'page', canAsk: false })
    const { logins } = AppState.parse((await page.core.call('state.subscribe', {})).state)
    await page.core.close()
    return Object.keys(logins)[0]!
  }

  async restart(isPortTaken: boolean): Promise<void> {
    await this.test.core.stop()
    await this.client?.ended()
    this.client = undefined
    const other = createServer()
    if (isPortTaken) await once(other.listen(this.port, '127.0.0.1'), 'listening')
    await this.test.restart()
    if (isPortTaken) await once(other.close(), 'close')
    await this.attach()
  }

  async close(): Promise<void> {
    this.client?.socket.destroy()
    await this.test.close()
  }
}
