// Sets the demo's access server up as an administrator would: through the client core and the server's API. Used by main.ts
// on the first start of this version, and (trust) on every start.
import { readFile, rm } from 'node:fs/promises'
import { connectToCore, stopCore, type CoreConnection } from '../client/connect.ts'
import { PosternError } from '../shared/errors.ts'
import type { DemoState } from './demo-state.ts'
import { ADMINISTRATOR, demoDocuments } from './people-and-roles.ts'
import type { Places } from './places.ts'

export type SetUp = { places: Places; state: DemoState; address: string; caFile: string; version: string }

/**
 * The first administrator by the setup code (who is there already without one), then everybody and everything else in one
 * `admin apply`.
 */
export async function setUpCluster(
  options: SetUp & { setupCode: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  const { places, state } = options
  const carol = state.people.find(({ name }) => name === ADMINISTRATOR)
  if (carol === undefined) throw new PosternError('internal', 'the demo has no administrator')
  await withCore(places.setupHome, options.version, signal, async (core) => {
    const { profile } = await core.call('profile.add', {
      address: options.address,
      caPem: await readFile(options.caFile, 'utf8'),
    })
    await core.call('login.submit', {
      profile,
      user: carol.name,
      password: carol.password,
      ...(options.setupCode === undefined ? {} : { setupCode: options.setupCode }),
    })
    await core.call('api.call', {
      profile,
      method: 'POST',
      path: '/v1/admin/apply',
      body: { documents: demoDocuments(state) },
    })
    await core.call('logout', { profile })
  })
  await stopCore(places.setupHome, { signal })
  await rm(places.setupHome, { recursive: true, force: true })
}

/** Makes the cluster known and trusted in the demo's POSTERN_HOME; nobody is signed in there. */
export async function trustCluster(options: SetUp, signal: AbortSignal): Promise<void> {
  await withCore(options.places.home, options.version, signal, async (core) => {
    const { profiles } = await core.call('profile.list', {})
    if (profiles.some(({ address }) => address === options.address)) return
    await core.call('profile.add', {
      address: options.address,
      caPem: await readFile(options.caFile, 'utf8'),
    })
  })
}

async function withCore(
  home: string,
  appVersion: string,
  signal: AbortSignal,
  use: (core: CoreConnection) => Promise<void>,
): Promise<void> {
  const core = await connectToCore({ home, kind: 'terminal', canAsk: false, appVersion, signal })
  try {
    await use(core)
  } finally {
    await core.close()
  }
}
