// The part of the access server's JSON API that is about what a person may reach: the resources that their roles allow, and the
// routes to them with their certificates. Pure.
import { z } from 'zod'
import { Pem, Time, TrustNews } from './api.ts'
import { AccountName, Name, RESOURCE_PROTOCOLS } from './names.ts'

/** A resource as a person may see it: only what their roles allow. */
export const ResourceView = z.object({
  name: Name,
  protocol: z.enum(RESOURCE_PROTOCOLS),
  description: z.string(),
  labels: z.record(z.string(), z.string()),
  accounts: z.array(z.string()),
  defaultAccount: z.string(),
  /** Databases that the roles allow; `*` means any. */
  databases: z.array(z.string()),
  defaultDatabase: z.string(),
})
export type ResourceView = z.infer<typeof ResourceView>

const KnownProtocol = z.object({ protocol: z.enum(RESOURCE_PROTOCOLS) })
const isOfKnownProtocol = (resource: unknown): boolean => KnownProtocol.safeParse(resource).success

/** GET /v1/resources. What a newer server has of protocols that are not known here is left out. */
export const ResourceList = z.object({
  resources: z
    .array(z.unknown())
    .transform((resources) => resources.filter(isOfKnownProtocol))
    .pipe(z.array(ResourceView)),
  serverTime: Time,
})
export type ResourceList = z.infer<typeof ResourceList>

/** POST /v1/routes: issues (or reissues) the route certificate; the route row is made once per (login, resource, protocol, account). */
export const RouteRequest = z.strictObject({
  resource: Name,
  protocol: z.enum(RESOURCE_PROTOCOLS),
  account: AccountName,
  csr: Pem,
})
export type RouteRequest = z.infer<typeof RouteRequest>
export const RouteResponse = z.object({
  routeId: z.string(),
  certificate: z.string(),
  expiresAt: Time,
  ...TrustNews.shape,
  serverTime: Time,
})
export type RouteResponse = z.infer<typeof RouteResponse>

/** POST /v1/routes/:routeId/close: the gateway was closed, so its session ends as *closed* (S1). */
export const CloseRouteResponse = z.object({ sessionId: z.string().nullable(), serverTime: Time })
