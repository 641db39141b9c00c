// W7, G5, G10: `--sso` and the terminal's answer to a login request, with a core that answers as the test says. With real servers:
// tests/scenario/the-terminal-logs-in-at-the-provider.test.ts.
import { expect, it } from 'vitest'
import { answerLoginRequests } from '../../cli/answer-login-requests.ts'
import { login } from '../../cli/commands/login.ts'
import { PosternError } from '../../shared/errors.ts'
import type { LoginPrompt } from '../../shared/rpc.ts'
import { makeContext, makeFakeCore, profileView } from './support/fake-core.ts'

const LINK = 'http://127.0.0.1:4000/start/token'
const view = { ...profileView, sso: { name: 'Shop ID' } }
const known = { 'profile.list': () => ({ profiles: [view], current: 'demo' }) }
const begun = () => ({ url: LINK, expiresAt: new Date(Date.now() + 600_000).toISOString() })

it('W7, G10: --sso prints the link, opens it where there is a screen, waits, and says who one is', async () => {
  const wait = Promise.withResolvers<unknown>()
  const core = makeFakeCore({ ...known, 'login.sso': begun, 'login.ssoWait': () => wait.promise })
  const context = makeContext([core])
  const opened: string[] = []
  context.terminal.openLink = (url) => opened.push(url) > 0
  const done = login(context, undefined, { sso: true, ttl: '1h' })
  await context.errShows(`Your browser opens this link`)
  await context.errShows(LINK)
  expect(await core.called('login.sso')).toEqual({ profile: 'demo', ttlSeconds: 3600 })
  await context.errShows('Waiting for the browser')
  wait.resolve(view)
  await done
  expect(opened).toEqual([LINK])
  expect(context.out()).toContain('Signed in to demo as alice')
})

it('W7: without a terminal the link is printed and waited for, and a failure is the exit', async () => {
  const core = makeFakeCore({
    ...known,
    'login.sso': begun,
    'login.ssoWait': () => {
      throw new PosternError('sso_denied', 'Shop ID refused the login: access_denied')
    },
  })
  const context = makeContext([core], { canAsk: false })
  await expect(login(context, undefined, { sso: true })).rejects.toMatchObject({ code: 'sso_denied' })
  expect(context.err()).toContain(LINK)
})

it('W7: Enter gives a new link, a failure can be tried again, Ctrl-C cancels', async () => {
  const waits: ReturnType<typeof Promise.withResolvers<unknown>>[] = []
  const core = makeFakeCore({
    ...known,
    'login.sso': begun,
    'login.ssoWait': () => {
      const wait = Promise.withResolvers<unknown>()
      waits.push(wait)
      return wait.promise
    },
  })
  const context = makeContext([core])
  const done = login(context, undefined, { sso: true })
  const failed = expect(done).rejects.toMatchObject({ code: 'login_cancelled' })
  await context.errShows('Waiting for the browser')
  context.stdin.write('\n')
  await expect.poll(() => waits.length).toBe(2)
  waits[0]?.reject(new PosternError('login_cancelled', 'begun anew'))
  waits[1]?.reject(new PosternError('sso_denied', 'Shop ID refused the login: access_denied'))
  await context.errShows('Shop ID refused the login: access_denied.')
  await context.errShows('Enter starts again')
  context.stdin.write('\n')
  await expect.poll(() => waits.length).toBe(3)
  context.stdin.write('\u0003')
  await failed
  expect(core.calls.filter(({ method }) => method === 'login.sso')).toHaveLength(3)
})

it('G5, G10: a request offers the browser for Enter; nothing opens before, and the password works as ever', async () => {
  const request: LoginPrompt = {
    requestId: 'r1',
    profile: 'demo',
    user: 'alice',
    reason: { kind: 'connection', gateway: 'g1', resource: 'orders', account: 'reader', client: 'psql' },
    waiting: 1,
    totp: false,
    sso: { name: 'Shop ID' },
  }
  const wait = Promise.withResolvers<unknown>()
  const core = makeFakeCore({
    'login.sso': begun,
    'login.ssoWait': () => wait.promise,
    'login.touch': () => ({}),
    'login.submit': () => view,
  })
  const context = makeContext([])
  const answerer = answerLoginRequests(core, context.terminal)
  core.emit('login.requested', request)
  await context.errShows('Press Enter to log in with Shop ID in the browser, or type the password.')
  expect(core.calls).toEqual([])
  context.stdin.write('\n')
  expect(await core.called('login.sso')).toEqual({ profile: 'demo', requestId: 'r1' })
  await context.errShows('Waiting for the browser')
  // The core tells the end of a request before it answers the call that waits for it.
  core.emit('login.closed', { requestId: 'r1', profile: 'demo', outcome: 'succeeded', text: null })
  wait.resolve(view)
  await context.errShows('Signed in; everything that waited goes on.')
  expect(context.err()).not.toContain('elsewhere')

  core.emit('login.requested', { ...request, requestId: 'r2' })
  await expect.poll(() => context.err().split('Press Enter').length).toBe(3)
  context.stdin.write('secret\n')
  expect(await core.called('login.submit')).toMatchObject({ requestId: 'r2', password: 'secret' })
  await answerer.stop()
})

it('G5: whoever is known by a password only is told of the other way', async () => {
  const core = makeFakeCore({ 'profile.list': () => ({ profiles: [{ ...view, user: null }], current: 'demo' }) })
  await expect(login(makeContext([core]), undefined, {})).rejects.toThrow('--user NAME, or log in with Shop ID: --sso')
})
