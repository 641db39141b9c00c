// All profiles of a home: read at the start, made when a cluster becomes known, found by name or as the current one.
// Called by core.ts.
import { PosternError } from '../../shared/errors.ts'
import { parseAddress, type Address, type Cluster } from '../cluster/address.ts'
import { askCluster, caByPin, parseCa } from '../cluster/trust.ts'
import type { KeyProtection } from './key-protection.ts'
import type { NoteStep } from '../state-machine.ts'
import { Profile } from './profile.ts'
import { readProfileFiles, readUserCertificate, writeProfileFile } from './profile-file.ts'

export type Profiles = {
  list(): Profile[]
  /** The profile that the person turned to last. */
  current(): Profile | undefined
  /** By name, else the current one. @throws PosternError `profile_unknown` */
  resolve(name: string | undefined): Profile
  find(name: string): Profile | undefined
  /** Makes a cluster known, or known at another address. @throws PosternError as trust.ts does */
  add(
    asked: { address: string; caPem?: string | undefined; caPin?: string | undefined },
    signal: AbortSignal,
  ): Promise<Profile>
  /** Forgets a cluster and removes its files. */
  remove(profile: Profile): Promise<void>
}

type Options = {
  dir: string
  /** How the keys of logins are stored. */
  keys: KeyProtection
  now: () => number
  onProblem: (text: string, cause: unknown) => void
  /** A known cluster got another CA: what was issued under the old one is void. */
  onCaChanged: (profile: Profile) => Promise<void>
  /** Something of a profile's view, or which one is the current one, may have changed. */
  onChanged: (profile: Profile) => void
  /** Told each change of a profile's state. */
  noteStep: (profile: string) => NoteStep
}

export async function openProfiles(options: Options): Promise<Profiles> {
  const { dir, keys, now, onProblem, onChanged, noteStep } = options
  const profiles = new Map<string, Profile>()
  // All at once: a key store that hangs is waited for one time only.
  const found = await Promise.all(
    (await readProfileFiles(dir, now(), onProblem)).map(async (stored) => ({
      stored,
      certificate: await readUserCertificate(dir, stored, keys, onProblem),
    })),
  )
  for (const { stored, certificate } of found) {
    const options = { dir, stored, certificate, keys, now, onChanged, noteStep: noteStep(stored.profile) }
    profiles.set(stored.profile, new Profile(options))
  }

  const current = (): Profile | undefined => [...profiles.values()].sort((a, b) => b.usedAtMs - a.usedAtMs)[0]

  /** The CA to trust: given, pinned, or the one already trusted for this very address. */
  const chooseCa = async (
    address: Address,
    asked: { caPem?: string | undefined; caPin?: string | undefined },
    signal: AbortSignal,
  ): Promise<string> => {
    if (asked.caPem !== undefined) return parseCa(asked.caPem)
    const known = [...profiles.values()].find((profile) => profile.cluster.address.text === address.text)
    if (asked.caPin === undefined && known) return known.cluster.caPem
    return caByPin(address, asked.caPin, signal)
  }

  return {
    list: () => [...profiles.values()],
    current,
    find: (name) => profiles.get(name),
    resolve(name) {
      const profile = name === undefined ? current() : profiles.get(name)
      if (profile) return profile
      throw new PosternError(
        'profile_unknown',
        name === undefined
          ? 'no cluster is known yet; log in first: postern login ADDRESS --user NAME'
          : `no profile is named ${name}; known: ${[...profiles.keys()].join(', ') || 'none'}`,
      )
    },
    async add(asked, signal) {
      const address = parseAddress(asked.address)
      const cluster: Cluster = { address, caPem: await chooseCa(address, asked, signal) }
      let serverMs = now()
      const info = await askCluster(cluster, now, (ms) => (serverMs = ms), signal)
      const known = profiles.get(info.cluster)
      if (known) {
        const isOtherCa = known.cluster.caPem !== cluster.caPem
        await known.trust(address.text, cluster.caPem)
        known.clock.note(serverMs)
        await known.learnSso(info.login?.sso ?? null)
        if (isOtherCa) await options.onCaChanged(known)
        return known
      }
      const stored = {
        version: 1 as const,
        profile: info.cluster,
        address: address.text,
        caPem: cluster.caPem,
        user: null,
        level: null,
        totp: false,
        sso: info.login?.sso ?? null,
        clockOffsetMs: Math.round(serverMs - now()),
        usedAtMs: now(),
      }
      await writeProfileFile(dir, stored)
      const profile = new Profile({
        dir,
        stored,
        certificate: undefined,
        keys,
        now,
        onChanged,
        noteStep: noteStep(stored.profile),
      })
      profiles.set(profile.name, profile)
      onChanged(profile)
      return profile
    },
    async remove(profile) {
      await profile.remove()
      profiles.delete(profile.name)
      onChanged(profile)
    },
  }
}
