// Reads `postern://gateway/PROFILE/RESOURCE[/ACCOUNT]`, strictly: a link comes from any web page or mail, so everything that is
// not exactly ours is nothing. A link never acts by itself; the page asks the person first. Pure.
import { AccountName, Name } from '../shared/names.ts'

export const LINK_SCHEME = 'postern'

export type GatewayLink = { profile: string; resource: string; account: string | null }

/** Longest link that is looked at, in characters: three names of 63, percent-encoded. */
const LINK_MAX_LENGTH = 1000

/** The link as a gateway to confirm; undefined for anything else. */
export function parseDeepLink(text: string): GatewayLink | undefined {
  if (text.length > LINK_MAX_LENGTH) return undefined
  const match = /^postern:\/\/gateway\/([^/?#@\\]+)\/([^/?#@\\]+)(?:\/([^/?#@\\]+))?$/.exec(text)
  if (!match) return undefined
  const [, profileText = '', resourceText = '', accountText] = match
  // Names need no percent-encoding, so none is undone: `%2e%2e` is no name.
  const profile = Name.safeParse(profileText)
  const resource = Name.safeParse(resourceText)
  if (!profile.success || !resource.success) return undefined
  if (accountText === undefined) return { profile: profile.data, resource: resource.data, account: null }
  const account = AccountName.safeParse(decoded(accountText))
  return account.success ? { profile: profile.data, resource: resource.data, account: account.data } : undefined
}

/** The link among a program's arguments, where Windows and Linux hand it over; the last one if there are several. */
export const linkAmong = (argv: readonly string[]): GatewayLink | undefined =>
  argv
    .filter((argument) => argument.startsWith(`${LINK_SCHEME}://`))
    .map(parseDeepLink)
    .findLast((link) => link !== undefined)

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
