// `login.ask` with a request id: the small window of the browser host takes over a login that was asked of a page, as it is.
import { afterEach, beforeEach, expect, it } from 'vitest'
import { RawClient, TestCore, type TestHost } from '../support/client-core.ts'

let test: TestCore
let page: TestHost
beforeEach(async () => {
  test = await TestCore.start()
  page = await test.attach({ kind: 'page' })
  await test.login(page)
})
afterEach(() => test.close())

it('G8 G10: a request that moves stays untouched, is asked in one place, and goes with the last one that waits', async () => {
  const gateway = await test.open(page)
  test.expire()
  const client = await RawClient.connect(gateway.port)
  const { requestId } = await page.next('login.requested')
  const small = await test.attach({ kind: 'page' })
  const prompt = await small.core.call('login.ask', { profile: 'test', requestId })
  expect(prompt).toMatchObject({ requestId, waiting: 1 })
  expect(await page.next('login.closed')).toMatchObject({ requestId, outcome: 'withdrawn' })
  client.socket.destroy()
  expect(await small.next('login.closed')).toMatchObject({ requestId, outcome: 'withdrawn', text: null })
})

it('G8 G11: a request that is being filled in, is over or is of another profile does not move', async () => {
  const gateway = await test.open(page)
  test.expire()
  const client = await RawClient.connect(gateway.port)
  const { requestId } = await page.next('login.requested')
  await page.core.call('login.touch', { requestId })
  const small = await test.attach({ kind: 'page' })
  const take = (id: string) => small.core.call('login.ask', { profile: 'test', requestId: id })
  await expect(take(requestId)).rejects.toMatchObject({ code: 'not_found' })
  await expect(take('another')).rejects.toMatchObject({ code: 'not_found' })
  expect(page.all('login.closed')).toEqual([])
  await page.core.call('login.cancel', { requestId, outcome: 'cancelled' })
  await expect(take(requestId)).rejects.toMatchObject({ code: 'not_found' })
  expect(small.all('login.requested')).toEqual([])
  client.socket.destroy()
})
