// What the core does with what the server says over a control stream: look at the routes again, end the login here, tell the person.
// All of it would come out at the next connection or call too; here it comes at once. Called by core.ts with each event.
import type { Logger } from 'pino'
import { Me } from '../../shared/login-api.ts'
import { PosternError } from '../../shared/errors.ts'
import type { Gateways } from '../gateways/gateways.ts'
import type { Profile } from '../profiles/profile.ts'
import type { UserCertificate } from '../profiles/profile-file.ts'
import { fewAtATime } from '../renewal/few-at-a-time.ts'
import type { Renewal } from '../renewal/renewal.ts'
import type { Notices } from '../state/notices.ts'
import type { ControlEvent } from './stream.ts'

export type Reactions = {
  /** @param certificate the login that the stream belongs to */
  onEvent(profile: Profile, event: ControlEvent, certificate: UserCertificate): void
  /** Asks the server for every open route again: one that was taken away becomes *refused*, one that came back listens. */
  lookAtAccess(profile: Profile): void
}

type Options = {
  gateways: Gateways
  notices: Notices
  renewalOf: (profile: Profile) => Renewal
  /** Sessions of this profile changed: whoever looks at them asks again. */
  onSessions: (profile: Profile) => void
  /** Ends with the core. */
  signal: AbortSignal
  log: Logger
}

/** Routes reissued at once. */
const AT_ONCE = 8

/** Sessions that end in another way than by the person's own doing, or by time, and how that is said. */
const ENDED_BY_OTHERS: Record<string, string> = {
  terminated: 'an administrator ended it',
  cancelled: 'it was cancelled',
  revoked: 'access to it was taken away',
}

const whyEnded = ({ reason, by }: { reason: string; by?: string | null | undefined }): string | undefined =>
  reason === 'terminated' && by ? `${by}, an administrator, ended it` : ENDED_BY_OTHERS[reason]

/** How an ended login is said; *expired* is no news, the app shows it anyway. */
const LOGIN_ENDS: Record<string, string> = {
  logout: 'it was logged out from elsewhere',
  removed: 'the account was removed by an administrator',
  ca: 'an administrator dropped the CA that it rested on',
}

export function createReactions({ gateways, notices, renewalOf, onSessions, signal, log }: Options): Reactions {
  /** Profiles whose routes are being looked at; true: something changed meanwhile, so once more. */
  const looking = new Map<Profile, boolean>()

  const tell = (profile: Profile, text: string, gateway?: string): void =>
    notices.add({ level: 'warning', text, profile: profile.name, gateway: gateway ?? null })

  async function lookOnce(profile: Profile): Promise<void> {
    // What comes of each is shown by its gateway.
    await fewAtATime(gateways.routesOf(profile), AT_ONCE, async (route) => {
      try {
        await renewalOf(profile).reissue(route, signal)
      } catch (error) {
        log.info({ err: error, profile: profile.name, gateway: route.gatewayId }, 'route was not reissued')
      }
    })
  }

  function lookAtAccess(profile: Profile): void {
    profile.noteAccessChanged()
    const isLooking = looking.has(profile)
    looking.set(profile, isLooking)
    if (isLooking) return
    const lookUntilQuiet = async (): Promise<void> => {
      do {
        looking.set(profile, false)
        await lookOnce(profile)
      } while (looking.get(profile) === true && !signal.aborted)
    }
    lookUntilQuiet()
      .catch((error: unknown) => log.error({ err: error, profile: profile.name }, 'routes could not be looked at'))
      .finally(() => looking.delete(profile))
  }

  /** The answer says what to trust and whether to have another certificate; the profile does both (C7). */
  function lookAtTrust(profile: Profile): void {
    profile.callSignedIn({ method: 'GET', path: '/v1/me' }, Me, signal).catch((error: unknown) => {
      if (!signal.aborted) log.info({ err: error, profile: profile.name }, 'the CAs were not looked at')
    })
  }

  /** The login is over here too; what is held or comes next asks for another one, as after an expiry. */
  function endLogin(
    profile: Profile,
    certificate: UserCertificate,
    error: PosternError,
    text: string | undefined,
    isByTime = false,
  ): void {
    // News of a login that was swapped already concerns nobody.
    if (profile.usableCertificate !== certificate) return
    // Those that have run out with it still let a running query be cancelled (DB1): its session outlives the login (G1).
    if (!isByTime) renewalOf(profile).certificates.clear()
    profile.noteFailure(error, certificate)
    gateways.profileChanged(profile.name)
    if (text !== undefined) tell(profile, text)
  }

  return {
    lookAtAccess,
    onEvent(profile, event, certificate) {
      // Without who did it: the log may go to support, and the name of a person has no business there.
      log.info({ profile: profile.name, event: { ...event, by: undefined } }, 'the server says')
      const { name } = profile
      switch (event.type) {
        case 'access.changed':
          lookAtAccess(profile)
          return
        case 'cas.changed':
          lookAtTrust(profile)
          return
        case 'session.started':
        case 'sessions.changed':
          onSessions(profile)
          return
        case 'session.ended': {
          onSessions(profile)
          const why = whyEnded(event)
          if (why === undefined) return
          const gateway = gateways.find(profile, event.resource, event.account)
          tell(profile, `your session on ${event.resource} as ${event.account} was ended: ${why}`, gateway?.id)
          return
        }
        case 'login.ended': {
          const isByTime = event.reason === 'expired'
          const why = LOGIN_ENDS[event.reason] ?? event.reason
          const text = isByTime ? undefined : `your login to ${name} was ended: ${why}`
          const error = new PosternError('login_expired', text ?? 'the login has expired')
          endLogin(profile, certificate, error, text, isByTime)
          return
        }
        case 'person.disabled': {
          const text = `your login to ${name} was ended: an administrator disabled your account`
          endLogin(profile, certificate, new PosternError('user_disabled', text), text)
          return
        }
      }
    },
  }
}
