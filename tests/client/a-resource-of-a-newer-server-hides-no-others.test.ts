// A server that is newer than this core lists what it has, in forms that this core does not know: those are left out and counted,
// everything else can be used.
import fc from 'fast-check'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { TestCore, type TestHost } from '../support/client-core.ts'

let test: TestCore
let host: TestHost
beforeEach(async () => {
  test = await TestCore.start()
  host = await test.attach()
  await test.login(host)
})
afterEach(() => test.close())

it('E3: resources of an unknown kind or name are left out and counted, the others are listed and opened', async () => {
  test.server.resources = ['orders', 'cache', 'Bad Name', 'payments']
  test.server.resourceDetails.set('cache', { protocol: 'quantum' })
  const listed = await host.core.call('resource.list', { profile: 'test' })
  expect(listed.resources.map(({ name }) => name)).toEqual(['orders', 'payments'])
  expect(listed.leftOut).toBe(2)
  await expect(test.open(host, 'orders')).resolves.toMatchObject({ state: 'listening' })
  await expect(host.core.call('gateway.open', { resource: 'cache', keep: 'attached' })).rejects.toMatchObject({
    code: 'resource_denied',
    message: expect.stringContaining('and 2 that this version of Postern does not understand'),
  })
})

it('E3: whatever stands among the resources, the good ones are there and the count is right', async () => {
  const good = { name: 'orders', protocol: 'postgres', description: '', labels: {}, accounts: ['reader'] }
  const whole = { ...good, defaultAccount: 'reader', databases: ['*'], defaultDatabase: 'postgres' }
  await fc.assert(
    fc.asyncProperty(fc.array(fc.jsonValue(), { maxLength: 5 }), async (strange) => {
      const resources = [...strange, whole]
      test.server.rawAnswer = {
        path: '/v1/resources',
        contentType: 'application/json',
        body: JSON.stringify({ resources, serverTime: new Date().toISOString() }),
      }
      const listed = await host.core.call('resource.list', { profile: 'test' })
      expect(listed.resources).toEqual([whole])
      expect(listed.leftOut).toBe(strange.length)
    }),
    { numRuns: 30 },
  )
})
