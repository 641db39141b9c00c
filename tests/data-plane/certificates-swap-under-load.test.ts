// A login under load: connections that run go on whole, new ones show the new certificate, and no TLS session goes from one
// certificate to the other.
import { createConnection, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { TestCore, waitUntil, type TestHost } from '../support/client-core.ts'
import { TCP_RESOURCE } from '../support/fake-access-server.ts'
import { readLoad, writeLoad, type Load } from '../support/pumped-paths.ts'

const MB = 1_000_000

let test: TestCore
let host: TestHost
beforeEach(async () => {
  test = await TestCore.start()
  test.server.resources = ['cache']
  test.server.resourceDetails.set('cache', TCP_RESOURCE)
  test.server.serveTcp = (socket) => void socket.pipe(socket)
  host = await test.attach({ kind: 'window' })
  await test.login(host)
})
afterEach(() => test.close())

function connect(port: number): Socket {
  const socket = createConnection({ host: '127.0.0.1', port, allowHalfOpen: true })
  socket.on('error', () => undefined)
  return socket
}

/** Sends a load through an echo and reads it back. */
async function echo(socket: Socket, load: Load): Promise<number> {
  const [came] = await Promise.all([readLoad(socket, load), writeLoad(socket, load)])
  socket.destroy()
  return came
}

describe('certificates that are swapped under load', () => {
  it('G12, G1, C4: what runs goes on whole, what is new shows the new certificate, sessions stay with their own', async () => {
    const { gateway } = await host.core.call('gateway.open', { resource: 'cache', keep: 'attached' })
    const load: Load = { bytes: 24 * MB, seed: 11, writerRests: MB }
    const running = Array.from({ length: 4 }, () => connect(gateway.port))
    const done = Promise.all(running.map((socket) => echo(socket, load)))
    await waitUntil(() => running.every((socket) => socket.bytesRead > MB), 'all to be under way', 30_000)

    const dialNew = (): Promise<number> => echo(connect(gateway.port), { bytes: 1000, seed: 12 })
    for (let n = 0; n < 4; n++) expect(await dialNew()).toBe(1000)
    const { dials } = test.server.seen
    const before = dials.length
    const oldLogin = dials[0]!.identity.loginId
    expect(dials.every(({ identity }) => identity.loginId === oldLogin)).toBe(true)
    expect(dials.some(({ isResumed }) => isResumed)).toBe(true)

    await test.submit(host)
    for (let n = 0; n < 4; n++) expect(await dialNew()).toBe(1000)
    const after = dials.slice(before)
    expect(after).toHaveLength(4)
    const [first] = after
    expect(first!.identity.loginId).not.toBe(oldLogin)
    expect(after.every(({ identity }) => identity.loginId === first!.identity.loginId)).toBe(true)
    // Nothing of the old one to resume; among themselves they do.
    expect(first!.isResumed).toBe(false)
    expect(after.some(({ isResumed }) => isResumed)).toBe(true)

    expect(await done).toEqual(running.map(() => load.bytes))
  })
})
