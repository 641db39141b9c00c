// What each call about sessions does: watching, ending one, what one ran. Composed into the calls of core.ts.
import { z } from 'zod'
import type { Method } from '../../shared/rpc.ts'
import { SessionStatements } from '../../shared/session-api.ts'
import type { Calls } from '../control/server.ts'
import type { Profiles } from '../profiles/profiles.ts'
import type { SessionWatches } from './session-watches.ts'

type SessionMethod = Extract<Method, `sessions.${string}`>

/** One of SESSION_END_REASONS, or one of a newer server. */
const Ended = z.object({ reason: z.string() })

export function createSessionCalls({
  profiles,
  watches,
}: {
  profiles: Profiles
  watches: SessionWatches
}): Pick<Calls, SessionMethod> {
  return {
    'sessions.watch': (params, host) => {
      const profile = profiles.resolve(params.profile)
      watches.watch(host, profile, params)
      return Promise.resolve({ profile: profile.name })
    },
    'sessions.unwatch': ({ watch }, host) => {
      watches.unwatch(host.id, watch)
      return Promise.resolve({})
    },
    'sessions.end': async (params, _host, signal) => {
      const profile = profiles.resolve(params.profile)
      const path = `/v1/sessions/${encodeURIComponent(params.session)}/end`
      const { reason } = await profile.callSignedIn({ method: 'POST', path }, Ended, signal)
      watches.changed(profile)
      return { reason }
    },
    'sessions.statements': async ({ session, order, after, search, limit, ...params }, _host, signal) => {
      const profile = profiles.resolve(params.profile)
      const query = new URLSearchParams({ order, limit: String(limit) })
      if (after !== undefined) query.set('after', String(after))
      if (search !== undefined) query.set('search', search)
      const path = `/v1/sessions/${encodeURIComponent(session)}/statements?${query.toString()}`
      const { events, next } = await profile.callSignedIn({ method: 'GET', path }, SessionStatements, signal)
      return { events, next: next ?? null }
    },
  }
}
