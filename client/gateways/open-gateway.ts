// What `gateway.open` does before anything listens: which account and database are meant, and a route certificate for them,
// with a login through the host that asked if one is needed. Called by core.ts.
import { z } from 'zod'
import { ResourceList, ResourceView } from '../../shared/resource-api.ts'
import { PosternError } from '../../shared/errors.ts'
import type { ResourceProtocol } from '../../shared/names.ts'
import type { ParsedParams, Result } from '../../shared/rpc.ts'
import type { Host } from '../control/hosts.ts'
import type { Profile } from '../profiles/profile.ts'
import type { LoginRequests, Wanting } from '../renewal/login-requests.ts'
import type { Renewal } from '../renewal/renewal.ts'
import { requireDatabases, requirePasswordPlace, type Gateways } from './gateways.ts'

type Deps = { gateways: Gateways; requests: LoginRequests; renewalOf: (profile: Profile) => Renewal }

/**
 * Opens a gateway for a host. A login that has expired is asked for through that host; where it cannot ask, a gateway that is
 * known opens as *needs login*, an unknown one does not. One that is opened again after a crash listens before anything else.
 * @throws PosternError `login_required`, `resource_denied`, `port_conflict`, `bad_request` (a database or a password where there
 * is none), or
 * the server's refusal
 */
export async function openGateway(
  deps: Deps,
  profile: Profile,
  asked: ParsedParams<'gateway.open'>,
  host: Host,
  signal: AbortSignal,
): Promise<Result<'gateway.open'>> {
  const { gateways, requests } = deps
  const wanting: Wanting = {
    reason: { kind: 'command', what: `gateway open ${asked.resource}` },
    hostId: host.id,
    isCommand: true,
  }
  const canAsk = host.canAsk && profile.user !== null
  const askOnce = async <T>(attempt: () => Promise<T>): Promise<T> => {
    try {
      return await attempt()
    } catch (error) {
      if (!canAsk || !isLoginWanted(error)) throw error
      await requests.wait(profile, wanting, signal)
      return attempt()
    }
  }

  const known = gateways.known(profile, asked.resource, asked.account)
  const [only] = known.length === 1 ? known : []
  // What was opened once needs no looking up (G4); the server still says yes or no to the route itself.
  const target = only ?? (await askOnce(() => lookUp(profile, asked, signal)))
  const { protocol, account } = target
  if (asked.database !== undefined) requireDatabases({ resource: asked.resource, protocol })
  if (asked.password === true) requirePasswordPlace({ resource: asked.resource, protocol })
  const renewal = deps.renewalOf(profile)
  const opened = await gateways.open(
    profile,
    asked.resource,
    { ...asked, protocol, account, database: asked.database ?? target.database },
    host,
    async (route, abandoned) => {
      // As a gateway that is restored: whoever uses it gets it going, not whoever holds the terminal.
      if (asked.isAgain && only) return
      try {
        if (canAsk) await renewal.renew(route, wanting, abandoned)
        else await renewal.reissue(route, abandoned)
      } catch (error) {
        if (canAsk || !only || !isLoginWanted(error)) throw error
      }
    },
    signal,
  )
  return { gateway: opened.gateway.view(asked.database), owned: opened.owned }
}

/** @throws PosternError `resource_denied` naming what there is; whether it exists at all is not told */
async function lookUp(
  profile: Profile,
  asked: ParsedParams<'gateway.open'>,
  signal: AbortSignal,
): Promise<{ protocol: ResourceProtocol; account: string; database: string }> {
  const { resources, leftOut } = await listResources(profile, signal)
  const resource = resources.find((one) => one.name === asked.resource)
  if (!resource) {
    const names = resources.map((one) => one.name).join(', ') || 'none'
    const more = leftOut === 0 ? '' : `, and ${leftOut} that this version of Postern does not understand`
    throw new PosternError(
      'resource_denied',
      `no resource named ${asked.resource} is there for you on ${profile.name}; there are: ${names}${more}`,
    )
  }
  const { protocol, defaultAccount, defaultDatabase } = resource
  return { protocol, account: asked.account ?? defaultAccount, database: defaultDatabase }
}

/** As ResourceList, its items unread: one that a newer server words differently must not hide all others. */
const ListedResources = ResourceList.extend({ resources: z.array(z.unknown()) })

/** What the person's roles allow, as far as this version understands it; `leftOut` counts the rest. */
export async function listResources(
  profile: Profile,
  signal: AbortSignal,
): Promise<{ resources: ResourceView[]; leftOut: number }> {
  const listed = await profile.callSignedIn({ method: 'GET', path: '/v1/resources' }, ListedResources, signal)
  const resources = listed.resources.flatMap((item) => {
    const parsed = ResourceView.safeParse(item)
    return parsed.success ? [parsed.data] : []
  })
  return { resources, leftOut: listed.resources.length - resources.length }
}

const isLoginWanted = (error: unknown): boolean => error instanceof PosternError && error.kind === 'expired'
