import { expect, it } from 'vitest'
import { answerLoginRequests } from '../../cli/answer-login-requests.ts'
import { PosternError } from '../../shared/errors.ts'
import type { LoginPrompt } from '../../shared/rpc.ts'
import { makeContext, makeFakeCore, profileView } from './support/fake-core.ts'

const request: LoginPrompt = {
  requestId: 'r1',
  profile: 'demo',
  user: 'alice',
  reason: { kind: 'connection', gateway: 'g1', resource: 'orders', account: 'reader', client: 'psql' },
  waiting: 2,
  totp: false,
}

function start(submit: (params: Record<string, unknown>) => unknown) {
  const core = makeFakeCore({ 'login.submit': submit, 'login.touch': () => ({}), 'login.cancel': () => ({}) })
  const context = makeContext([])
  const answerer = answerLoginRequests(core, context.terminal)
  core.emit('login.requested', request)
  return { core, context, answerer }
}

it('G11: the terminal says what wanted to connect and how many wait, and submits what was typed', async () => {
  const { core, context, answerer } = start(() => profileView)
  await context.errShows(
    'psql wants to connect to orders as reader, but the login of alice at demo has expired. 2 connections wait.',
  )
  context.stdin.write('secret\n')
  expect(await core.called('login.submit')).toEqual({
    profile: 'demo',
    user: 'alice',
    requestId: 'r1',
    password: 'secret',
  })
  await context.errShows('Signed in')
  expect(core.calls.map(({ method }) => method)).toEqual(['login.touch', 'login.submit'])
  await answerer.stop()
})

it('G5: a code is asked for when the server wants one, and the password is not asked for twice', async () => {
  const { core, context, answerer } = start(({ totp }) => {
    if (totp === undefined) throw new PosternError('totp_required', 'a code is needed')
    return profileView
  })
  context.stdin.write('secret\n')
  await context.errShows('Code of your authenticator')
  context.stdin.write('123456\n')
  await context.errShows('Signed in')
  expect(core.calls.at(-1)?.params).toMatchObject({ password: 'secret', totp: '123456' })
  await answerer.stop()
})

it('G7: after three wrong passwords the request is given up as failed', async () => {
  const { core, context, answerer } = start(() => {
    throw new PosternError('bad_credentials', 'wrong user name or password')
  })
  for (const left of ['2 tries left', 'one try left', 'What waited got an error']) {
    context.stdin.write('wrong\n')
    await context.errShows(left)
  }
  expect(await core.called('login.cancel')).toEqual({ requestId: 'r1', outcome: 'failed' })
  expect(answerer.lastOutcome()).toBe('failed')
  await answerer.stop()
})

it('G7: Ctrl-C at the prompt cancels the login only', async () => {
  const { core, context, answerer } = start(() => profileView)
  await context.errShows('Password of alice')
  context.stdin.write('\u0003')
  expect(await core.called('login.cancel')).toEqual({ requestId: 'r1', outcome: 'cancelled' })
  await context.errShows('The gateway stays open.')
  await answerer.stop()
})

it('G5: a request that was answered elsewhere is withdrawn from the terminal, which says so', async () => {
  const { core, context, answerer } = start(() => profileView)
  await context.errShows('Password of alice')
  core.emit('login.closed', { requestId: 'r1', profile: 'demo', outcome: 'succeeded', text: null })
  await context.errShows('Signed in elsewhere')
  await answerer.stop()
  expect(core.calls).toEqual([])
})
