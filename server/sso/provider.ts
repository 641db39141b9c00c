// The identity provider as this server's OpenID Connect client sees it: where a browser has to go, and who came back. Discovery,
// code flow, PKCE (S256), nonce and the verification of ID tokens are openid-client's; what goes wrong becomes an error of the
// catalogue that names the provider. Called by sso-logins.ts.
import {
  allowInsecureRequests,
  authorizationCodeGrant,
  AuthorizationResponseError,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  ClientSecretBasic,
  ClientSecretPost,
  customFetch,
  discovery,
  enableNonRepudiationChecks,
  fetchUserInfo,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
  ResponseBodyError,
  WWWAuthenticateChallengeError,
  type Configuration,
  type DiscoveryRequestOptions,
} from 'openid-client'
import { PosternError } from '../../shared/errors.ts'
import type { OidcConfig, PersonClaim } from './oidc-settings.ts'
import { createProviderFetch, ProviderUnreachable } from './provider-fetch.ts'

/** How long metadata is used before it is asked for again, in ms; keys are looked up by openid-client as they are needed. */
const METADATA_MAX_AGE_MS = 3_600_000

/** What has to be kept until the browser is back; secret. */
export type Journey = { state: string; nonce: string; codeVerifier: string }

/** What came back with the browser. */
export type Return = { redirectUri: string; code: string; iss: string | undefined } & Journey

/** Whom the provider vouches for. */
export type VouchedPerson = { claim: PersonClaim; value: string }

export interface Provider {
  /** What people call it. */
  readonly name: string
  /** @throws PosternError `sso_unreachable`, `misconfigured` */
  begin(redirectUri: string): Promise<{ authorizationUrl: string; journey: Journey }>
  /** @throws PosternError `sso_failed`, `sso_denied`, `sso_unreachable`, `misconfigured` */
  redeem(returned: Return): Promise<VouchedPerson>
}

/** @param now wall time, for the age of the metadata */
export function createProvider(config: OidcConfig, now: () => Date): Provider {
  const { name, personClaim } = config
  let known: { configuration: Configuration; untilMs: number } | undefined
  const fetch = createProviderFetch(config.caPem)

  const discover = async (): Promise<Configuration> => {
    if (known && known.untilMs > now().getTime()) return known.configuration
    // Deprecated to stand out; the settings take it for issuers of this machine only.
    // eslint-disable-next-line @typescript-eslint/no-deprecated
    const withoutTls = config.issuer.protocol === 'http:' ? [allowInsecureRequests] : []
    const options: DiscoveryRequestOptions = {
      [customFetch]: fetch,
      execute: [enableNonRepudiationChecks, ...withoutTls],
    }
    const secret = config.clientSecret.reveal()
    let configuration = await discovery(config.issuer, config.clientId, undefined, ClientSecretBasic(secret), options)
    // Basic is what every provider has to take if it names nothing (OpenID Connect Discovery 1.0, 3).
    const methods = configuration.serverMetadata().token_endpoint_auth_methods_supported ?? ['client_secret_basic']
    if (!methods.includes('client_secret_basic') && methods.includes('client_secret_post'))
      configuration = await discovery(config.issuer, config.clientId, undefined, ClientSecretPost(secret), options)
    known = { configuration, untilMs: now().getTime() + METADATA_MAX_AGE_MS }
    return configuration
  }

  return {
    name,
    async begin(redirectUri) {
      try {
        const journey = { state: randomState(), nonce: randomNonce(), codeVerifier: randomPKCECodeVerifier() }
        const url = buildAuthorizationUrl(await discover(), {
          redirect_uri: redirectUri,
          scope: config.scopes.join(' '),
          state: journey.state,
          nonce: journey.nonce,
          code_challenge: await calculatePKCECodeChallenge(journey.codeVerifier),
          code_challenge_method: 'S256',
        })
        return { authorizationUrl: url.href, journey }
      } catch (error) {
        throw explain(error, name)
      }
    },

    async redeem({ redirectUri, code, iss, state, nonce, codeVerifier }) {
      try {
        const configuration = await discover()
        const returned = new URL(redirectUri)
        returned.search = new URLSearchParams({ code, state, ...(iss === undefined ? {} : { iss }) }).toString()
        const tokens = await authorizationCodeGrant(configuration, returned, {
          expectedState: state,
          expectedNonce: nonce,
          pkceCodeVerifier: codeVerifier,
          idTokenExpected: true,
        })
        const idToken = tokens.claims()
        if (!idToken) throw new PosternError('sso_failed', `${name} did not say who logged in; log in again`)
        // Providers put little into the ID token where there is an access token to ask more with (Core 1.0, 5.4).
        const claims: Readonly<Record<string, unknown>> =
          idToken[personClaim] === undefined
            ? { ...(await fetchUserInfo(configuration, tokens.access_token, idToken.sub)) }
            : { ...idToken }
        return vouchedPerson(claims, personClaim, name)
      } catch (error) {
        throw explain(error, name)
      }
    },
  }
}

function vouchedPerson(claims: Readonly<Record<string, unknown>>, claim: PersonClaim, name: string): VouchedPerson {
  const value = claims[claim]
  if (typeof value !== 'string' || value === '' || value.length > 320)
    throw new PosternError(
      'sso_denied',
      `${name} did not say who you are: its answer has no ${claim}; ask an administrator of the cluster`,
    )
  // Some say it as text. Absent is common where accounts are the organisation's own; false means that anybody could claim it.
  if (claim === 'email' && (claims['email_verified'] === false || claims['email_verified'] === 'false'))
    throw new PosternError(
      'sso_denied',
      `${name} has not verified that ${value} is yours; verify it there, then log in again`,
      { detail: { person: value } },
    )
  return { claim, value }
}

/** What openid-client throws, as an error that says what was wrong and what to do. Causes stay in the server's log. */
function explain(error: unknown, name: string): unknown {
  if (error instanceof PosternError) return error
  const unreachable = causesOf(error).find((cause) => cause instanceof ProviderUnreachable)
  if (unreachable)
    return new PosternError(
      'sso_unreachable',
      `the access server cannot reach ${name}: ${unreachable.message}; try again, or log in with a password`,
      { cause: error },
    )
  const refusal = clientRefusalOf(error)
  if (refusal !== undefined)
    return new PosternError(
      'misconfigured',
      `oidc: ${name} refuses this server (${refusal}); check clientId and clientSecret`,
      { cause: error },
    )
  if (error instanceof ResponseBodyError || error instanceof AuthorizationResponseError)
    return new PosternError('sso_failed', `${name} did not accept the login (${error.error}); log in again`, {
      cause: error,
    })
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (WRONG_PROVIDER.includes(code))
    return new PosternError(
      'misconfigured',
      `oidc.issuer: what answers for ${name} is no OpenID provider, or calls itself otherwise; check the issuer`,
      { cause: error },
    )
  return new PosternError('sso_failed', `the answer of ${name} could not be verified; log in again`, { cause: error })
}

/** RFC 6749, 5.2: the provider does not take this client, whoever logs in. */
const CLIENT_REFUSED = ['invalid_client', 'unauthorized_client']

function clientRefusalOf(error: unknown): string | undefined {
  if (error instanceof ResponseBodyError) return CLIENT_REFUSED.find((code) => code === error.error)
  // The same with a 401 that asks for HTTP Basic; one that asks for a bearer token is about the person's token.
  const isAboutUs =
    error instanceof WWWAuthenticateChallengeError && error.cause.some(({ scheme }) => scheme === 'basic')
  return isAboutUs ? 'invalid_client' : undefined
}

/** Discovery led to something else than a provider, or to another one. */
const WRONG_PROVIDER = [
  'OAUTH_RESPONSE_IS_NOT_CONFORM',
  'OAUTH_RESPONSE_IS_NOT_JSON',
  'OAUTH_PARSE_ERROR',
  'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED',
  'OAUTH_INVALID_SERVER_METADATA',
  'OAUTH_MISSING_SERVER_METADATA',
  'OAUTH_HTTP_REQUEST_FORBIDDEN',
]

function causesOf(error: unknown): Error[] {
  const causes: Error[] = []
  for (let next = error; next instanceof Error && causes.length < 10; next = next.cause) causes.push(next)
  return causes
}
