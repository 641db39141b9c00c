import { expect, it } from 'vitest'
import { login } from '../../cli/commands/login.ts'
import { exitCodeFor } from '../../cli/print-error.ts'
import { parseServerAddress } from '../../cli/server-address.ts'
import { PosternError } from '../../shared/errors.ts'
import { makeContext, makeFakeCore, profileView } from './support/fake-core.ts'

const FINGERPRINT = `sha256:${'ab'.repeat(32)}`

const unknownServer = () =>
  makeFakeCore({
    'profile.list': () => ({ profiles: [], current: null }),
    'profile.add': ({ caPin }) => {
      if (caPin !== FINGERPRINT)
        throw new PosternError('server_untrusted', 'nobody vouched for it', { detail: { fingerprint: FINGERPRINT } })
      return profileView
    },
    'login.submit': () => profileView,
  })

it('C8: without a terminal an unknown CA is refused with exit code 4, its fingerprint and the flag', async () => {
  const context = makeContext([unknownServer()], { canAsk: false })
  context.stdin.end('secret\n')
  const failure: unknown = await login(context, 'db.example', { user: 'alice', passwordStdin: true }).catch(
    (error: unknown) => error,
  )
  expect(exitCodeFor(failure)).toBe(4)
  expect(String(failure)).toContain(`--ca-pin ${FINGERPRINT}`)
})

it('C8: in a terminal an unknown CA is trusted only after the person typed yes', async () => {
  const refused = makeContext([unknownServer()])
  refused.stdin.write('y\n')
  await expect(login(refused, 'db.example', { user: 'alice' })).rejects.toThrow('was not trusted')

  const core = unknownServer()
  const context = makeContext([core])
  const done = login(context, 'db.example', { user: 'alice' })
  await context.errShows(FINGERPRINT)
  context.stdin.write('yes\n')
  await context.errShows('Password of alice')
  context.stdin.write('secret\n')
  await done
  expect(core.calls.map(({ method, params }) => [method, params['caPin'] ?? params['address']])).toEqual([
    ['profile.list', undefined],
    ['profile.add', 'db.example:3443'],
    ['profile.add', FINGERPRINT],
    ['login.submit', undefined],
  ])
  expect(context.out()).toContain('Signed in to demo as alice')
})

it('C8: an address is HOST or HOST:PORT with port 3443 where none is given', () => {
  expect(['db.example', 'DB.example:443', '[::1]', 'https://db.example/'].map(parseServerAddress)).toEqual([
    'db.example:3443',
    'db.example:443',
    '[::1]:3443',
    'db.example:3443',
  ])
  for (const bad of ['', 'a b', 'host:0', 'host:70000', '::1', 'host:12:34'])
    expect(() => parseServerAddress(bad)).toThrow('is no server address')
})
