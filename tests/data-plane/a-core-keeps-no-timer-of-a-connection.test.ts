// Connections through a gateway of a real core, one after the other and many at once, that end or are broken off by either side: when
// they are over, the core has none of their timers: of dials, deadlines, stall watches. That no handle is left:
// ten-thousand-tls-connections-leave-nothing.test.ts and its neighbours; in processes of their own: the-whole-way-….test.ts.
import { once } from 'node:events'
import { createConnection } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { TestCore, type TestHost } from '../support/client-core.ts'
import { TCP_RESOURCE } from '../support/fake-access-server.ts'
import { LivingTimers } from '../support/living-timers.ts'

const ROUNDS = 25
const AT_ONCE = 16
/** Files of link/ whose timers are connections' alone. */
const OF_CONNECTIONS = ['write-stall.ts', 'time-limit.ts']

let timers: LivingTimers
let test: TestCore
let host: TestHost
beforeEach(async () => {
  timers = new LivingTimers()
  test = await TestCore.start()
  test.server.resources = ['cache']
  test.server.resourceDetails.set('cache', TCP_RESOURCE)
  test.server.serveTcp = (socket) =>
    void socket.once('data', (said: Buffer) => {
      if (said.toString() === 'break off') socket.destroy()
      else socket.resume().end(said)
    })
  host = await test.attach({ kind: 'window' })
  await test.login(host)
})
afterEach(async () => {
  await test.close()
  timers[Symbol.dispose]()
})

/** Ends in order, breaks off after an answer or before anything was said, is broken off. */
async function comeAndGo(port: number, at: number): Promise<void> {
  const socket = createConnection({ host: '127.0.0.1', port, allowHalfOpen: true })
  const closed = new Promise((resolve) => socket.on('error', () => undefined).once('close', resolve))
  await once(socket, 'connect')
  if (at % 4 === 0) socket.resetAndDestroy()
  else if (at % 4 === 1) {
    socket.once('end', () => socket.end())
    socket.resume().write('break off')
  } else {
    socket.write('hello')
    await once(socket, 'data')
    if (at % 4 === 2) socket.resetAndDestroy()
    else socket.end()
  }
  await closed
}

/** Those that many connections have left; and of what all connections share, and of their deadlines, any. */
function leftOver(): string[] {
  const places = timers.places()
  // A core has a few of its own, some of them once a call.
  const often = places.filter((place) => places.filter((one) => one === place).length >= ROUNDS)
  const ofConnections = places.filter((place) => OF_CONNECTIONS.some((file) => place.includes(`/${file}:`)))
  return [...new Set([...often, ...ofConnections])]
}

it('G1, S6: 400 connections through a gateway leave no timer in its core', async () => {
  const { port } = await test.open(host, 'cache')
  for (let round = 0; round < ROUNDS; round++)
    await Promise.all(Array.from({ length: AT_ONCE }, (_, at) => comeAndGo(port, at)))
  await expect.poll(leftOver).toEqual([])
  expect(OF_CONNECTIONS.filter((file) => timers.hasSeen(file))).toEqual(OF_CONNECTIONS)
})
