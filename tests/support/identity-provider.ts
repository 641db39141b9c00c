// A real OpenID provider (oidc-provider) on loopback, with its own login and consent pages, and a person's browser in a few lines
// for tests that need no Chromium. It is called `localhost`, so that for a browser it is another site than 127.0.0.1.
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { text as readText } from 'node:stream/consumers'
import type { AddressInfo } from 'node:net'
import { Provider } from 'oidc-provider'

export const CLIENT = { id: 'postern', secret: 'the secret of the client' }

export type IdentityProvider = {
  readonly issuer: string
  /** The section `oidc` of the server's settings, YAML in one line. */
  readonly settings: string
  /** Claims of an account beyond the usual ones; the usual ones are NAME@shop.example, verified, and NAME. */
  readonly claims: Map<string, Record<string, unknown>>
  /** Nothing answers at the issuer until `resume`. */
  pause(): Promise<void>
  resume(): Promise<void>
  close(): Promise<void>
}

export async function startIdentityProvider(
  options: { name?: string; personClaim?: string } = {},
): Promise<IdentityProvider> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const claims = new Map<string, Record<string, unknown>>()
  let server: Server | undefined
  let port = 0

  const listen = async (): Promise<Server> => {
    const opened = createServer()
    opened.listen(port, '127.0.0.1')
    await once(opened, 'listening')
    port = (opened.address() as AddressInfo).port
    server = opened
    return opened
  }
  const stop = async (): Promise<void> => {
    const closing = server
    server = undefined
    if (!closing) return
    closing.closeAllConnections()
    closing.close()
    await once(closing, 'close')
  }

  const first = await listen()
  const issuer = `http://localhost:${port}`
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: CLIENT.id,
        client_secret: CLIENT.secret,
        // A loopback redirect of a native client may have any port (RFC 8252, 7.3).
        application_type: 'native',
        redirect_uris: ['http://127.0.0.1/callback'],
        grant_types: ['authorization_code'],
        response_types: ['code'],
        token_endpoint_auth_method: 'client_secret_basic',
      },
    ],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['preferred_username'] },
    cookies: { keys: ['a key for the cookies of tests'] },
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'test', use: 'sig', alg: 'RS256' }] },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        email: `${id}@shop.example`,
        email_verified: true,
        preferred_username: id,
        ...claims.get(id),
      }),
    }),
    pkce: { required: () => true },
    ttl: { AccessToken: 600, AuthorizationCode: 600, IdToken: 600, Interaction: 600, Session: 600, Grant: 600 },
  })
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    void provider.callback()(request, response)
  }
  first.on('request', answer)

  return {
    issuer,
    settings:
      `oidc: { issuer: "${issuer}", clientId: ${CLIENT.id}, clientSecret: "${CLIENT.secret}", ` +
      `name: "${options.name ?? 'Shop ID'}", personClaim: ${options.personClaim ?? 'email'}, allowInsecureLoopbackIssuer: true }`,
    claims,
    pause: stop,
    async resume() {
      const again = await listen()
      again.on('request', answer)
    },
    close: stop,
  }
}

type Cookie = { name: string; value: string; path: string }

/** Follows links and submits the provider's forms, with cookies as a browser keeps them (by host name and path, not by port). */
export class PlainBrowser {
  readonly #cookies = new Map<string, Cookie[]>()

  /** One request, without following. */
  async open(
    url: string,
    form?: Record<string, string>,
  ): Promise<{ status: number; location: string | null; text: string }> {
    const { hostname, pathname } = new URL(url)
    const jar = this.#cookies.get(hostname) ?? []
    const sent = jar.filter(({ path }) => pathname.startsWith(path)).map(({ name, value }) => `${name}=${value}`)
    // Not by fetch, which says of itself that it is no navigation.
    const sending = request(url, {
      agent: false,
      method: form === undefined ? 'GET' : 'POST',
      headers: {
        'sec-fetch-mode': 'navigate',
        'sec-fetch-dest': 'document',
        ...(sent.length === 0 ? {} : { cookie: sent.join('; ') }),
        ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      },
      signal: AbortSignal.timeout(20_000),
    })
    sending.end(form === undefined ? undefined : new URLSearchParams(form).toString())
    const [response] = (await once(sending, 'response')) as [IncomingMessage]
    for (const line of response.headers['set-cookie'] ?? []) this.#keep(hostname, line)
    const { location } = response.headers
    return {
      status: response.statusCode ?? 0,
      location: location === undefined ? null : new URL(location, url).href,
      text: await readText(response),
    }
  }

  /** Follows redirects until a page comes, or the way leads to something that `until` names; that is not opened. */
  async follow(
    url: string,
    until: (url: string) => boolean = () => false,
  ): Promise<{ url: string; text: string; status: number }> {
    for (let at = url, hops = 0; hops < 15; hops++) {
      if (until(at)) return { url: at, text: '', status: 0 }
      const { location, text, status } = await this.open(at)
      if (location === null) return { url: at, text, status }
      at = location
    }
    throw new Error(`too many redirects from ${url}`)
  }

  /**
   * Logs in at the provider and gives consent (or refuses it).
   * @param url the authorization URL, or the link that leads there
   * @returns the address that the provider sends the browser back to, not opened yet
   */
  async throughProvider(url: string, person: string, consents = true): Promise<string> {
    const isBack = (at: string): boolean => at.startsWith('http://127.0.0.1:') && at.includes('/callback')
    let page = await this.follow(url, isBack)
    for (let forms = 0; forms < 4 && !isBack(page.url); forms++) {
      const action = /<form[^>]*action="([^"]+)"/.exec(page.text)?.[1]
      const abort = /href="([^"]*\/abort)"/.exec(page.text)?.[1]
      const isLogin = page.text.includes('name="login"')
      if (action === undefined || abort === undefined)
        throw new Error(`no form in ${page.url}: ${page.text.slice(0, 500)}`)
      if (!isLogin && !consents) {
        page = await this.follow(new URL(abort, page.url).href, isBack)
        continue
      }
      const form = isLogin ? { prompt: 'login', login: person, password: 'x' } : { prompt: 'consent' }
      const { location, text } = await this.open(new URL(action, page.url).href, form)
      if (location === null) throw new Error(`the provider's form led nowhere: ${text.slice(0, 500)}`)
      page = await this.follow(location, isBack)
    }
    return page.url
  }

  #keep(hostname: string, line: string): void {
    const [pair = '', ...attributes] = line.split(';').map((part) => part.trim())
    const at = pair.indexOf('=')
    const name = pair.slice(0, at)
    const attribute = (wanted: string): string | undefined =>
      attributes.find((one) => one.toLowerCase().startsWith(`${wanted}=`))?.slice(wanted.length + 1)
    const path = attribute('path') ?? '/'
    const expires = attribute('expires')
    const isOver = attribute('max-age') === '0' || (expires !== undefined && Date.parse(expires) < Date.now())
    const others = (this.#cookies.get(hostname) ?? []).filter((one) => one.name !== name || one.path !== path)
    this.#cookies.set(hostname, isOver ? others : [...others, { name, value: pair.slice(at + 1), path }])
  }
}
