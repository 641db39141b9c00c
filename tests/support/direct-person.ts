// A person without a core: logs in, has route certificates and dials with the product's own client code, so that one process can be
// hundreds of logins. Used where load is made by the thousand; the way through real gateways is other clients'.
import { readFile } from 'node:fs/promises'
import type { z } from 'zod'
import { callApi } from '../../client/cluster/api.ts'
import { parseAddress, type Cluster } from '../../client/cluster/address.ts'
import { createKeyRequest, type KeyRequest } from '../../client/cluster/csr.ts'
import { dialRoute, type DialedRoute } from '../../client/cluster/dial.ts'
import type { ApiRequest } from '../../client/cluster/exchange.ts'
import type { RouteTunnels } from '../../client/cluster/route-tunnels.ts'
import { buildKeyedCertificate, type KeyedCertificate } from '../../client/cluster/keyed-certificate.ts'
import { LoginResponse } from '../../shared/login-api.ts'
import { RouteResponse } from '../../shared/resource-api.ts'
import { ALPN, type ResourceProtocol, type RouteIdentity, type UserIdentity } from '../../shared/names.ts'
import type { TestCluster } from './cluster.ts'

export type RouteCertificate = KeyedCertificate<RouteIdentity>

const ALPN_OF: Record<ResourceProtocol, (typeof ALPN)['tcp' | 'postgres']> = { tcp: ALPN.tcp, postgres: ALPN.postgres }

/** How the cluster is reached and trusted, read once for many people. */
export async function trustOf({ address, caFile }: Pick<TestCluster, 'address' | 'caFile'>): Promise<Cluster> {
  const bundle = await readFile(caFile, 'utf8')
  const caPems = bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return { address: parseAddress(address), caPems }
}

export class DirectPerson {
  readonly loginId: string
  readonly #cluster: Cluster
  readonly #key: KeyRequest
  readonly #certificate: KeyedCertificate<UserIdentity>

  private constructor(cluster: Cluster, key: KeyRequest, login: LoginResponse) {
    this.loginId = login.loginId
    this.#cluster = cluster
    this.#key = key
    this.#certificate = keyed(login.certificate, key, cluster, 'user')
  }

  static async logIn(
    cluster: Cluster,
    { name, password }: { name: string; password: string },
    signal: AbortSignal,
  ): Promise<DirectPerson> {
    const key = await createKeyRequest(name)
    const body = { user: name, password, csr: key.csrPem }
    const login = await call(cluster, undefined, { method: 'POST', path: '/v1/login', body }, LoginResponse, signal)
    return new DirectPerson(cluster, key, login)
  }

  /** A call of the API as this person. */
  call<T>(request: ApiRequest, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    return call(this.#cluster, this.#certificate, request, schema, signal)
  }

  /** All routes of a login share its key here: making thousands is nobody's question. */
  async route(
    resource: string,
    protocol: ResourceProtocol,
    account: string,
    signal: AbortSignal,
  ): Promise<RouteCertificate> {
    const body = { resource, protocol, account, csr: this.#key.csrPem }
    const { certificate } = await this.call({ method: 'POST', path: '/v1/routes', body }, RouteResponse, signal)
    return keyed(certificate, this.#key, this.#cluster, 'route')
  }

  /** One connection of a route, up to the server's ok; through tunnels if there are some. The caller owns the link. */
  dial(
    certificate: RouteCertificate,
    protocol: ResourceProtocol,
    signal: AbortSignal,
    tunnels?: RouteTunnels,
  ): Promise<DialedRoute> {
    const noteServerTime = (): void => undefined
    return dialRoute({ cluster: this.#cluster, alpn: ALPN_OF[protocol], certificate, tunnels, noteServerTime, signal })
  }
}

const keyed = <K extends 'user' | 'route'>(
  certificatePem: string,
  { keyPem }: KeyRequest,
  { caPems }: Cluster,
  kind: K,
) => buildKeyedCertificate({ certificatePem, keyPem, caPems }, kind)

const call = <T>(
  cluster: Cluster,
  certificate: KeyedCertificate<UserIdentity> | undefined,
  request: ApiRequest,
  schema: z.ZodType<T>,
  signal: AbortSignal,
): Promise<T> =>
  callApi(
    { cluster, certificate, now: Date.now, noteServerTime: () => undefined, noteTrust: () => undefined, signal },
    request,
    schema,
  )
