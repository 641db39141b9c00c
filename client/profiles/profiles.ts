// All profiles of a home: read at the start, made when a cluster becomes known, found by name or as the current one.
// Called by core.ts.
import { PosternError } from '../../shared/errors.ts'
import { parseAddress, type Address, type Cluster } from '../cluster/address.ts'
import { parseCa } from '../cluster/ca.ts'
import { askCluster, caByPin } from '../cluster/trust.ts'
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
  /** A known cluster got another CA on the person's word: what was issued under the old one is void. Not by a rotation. */
  onCaChanged: (profile: Profile) => Promise<void>
  /** The server wants a profile's user certificate to be had anew (C7). */
  onCertificateAged: (profile: Profile) => void
  /** Something of a profile's view, or which one is the current one, may have changed. */
  onChanged: (profile: Profile) => void
  /** Told each change of a profile's state. */
  noteStep: (profile: string) => NoteStep
}

export async function openProfiles(options: Options): Promise<Profiles> {
  const { dir, keys, now, onProblem, onChanged, onCertificateAged, noteStep } = options
  const seams = { dir, keys, now, onProblem, onChanged, onCertificateAged }
  const profiles = new Map<string, Profile>()
  // All at once: a key store that hangs is waited for one time only.
  const found = await Promise.all(
    (await readProfileFiles(dir, now(), onProblem)).map(async (stored) => ({
      stored,
      certificate: await readUserCertificate(dir, stored, keys, onProblem),
    })),
  )
  for (const { stored, certificate } of found) {
    profiles.set(stored.profile, new Profile({ ...seams, noteStep: noteStep(stored.profile), stored, certificate }))
  }

  const current = (): Profile | undefined => [...profiles.values()].sort((a, b) => b.usedAtMs - a.usedAtMs)[0]

  /** The CAs to trust: given, pinned, or those already trusted for this very address. */
  const chooseCas = async (
    address: Address,
    asked: { caPem?: string | undefined; caPin?: string | undefined },
    signal: AbortSignal,
  ): Promise<readonly string[]> => {
    if (asked.caPem !== undefined) return [parseCa(asked.caPem)]
    const known = [...profiles.values()].find((profile) => profile.cluster.address.text === address.text)
    if (asked.caPin === undefined && known) return known.cluster.caPems
    return [await caByPin(address, asked.caPin, signal)]
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
      const cluster: Cluster = { address, caPems: await chooseCas(address, asked, signal) }
      let serverMs = now()
      const { info, caPems } = await askCluster(cluster, now, (ms) => (serverMs = ms), signal)
      const known = profiles.get(info.cluster)
      if (known) {
        // In a rotation the person may name the new CA while the old one is known, or the other way round (C7): the server
        // names both then.
        const isOtherCa = ![...cluster.caPems, ...caPems].some((pem) => known.cluster.caPems.includes(pem))
        await known.trust(address.text, caPems, isOtherCa)
        known.clock.note(serverMs)
        await known.learnSso(info.login?.sso ?? null)
        if (isOtherCa) await options.onCaChanged(known)
        return known
      }
      const stored = {
        version: 2 as const,
        profile: info.cluster,
        address: address.text,
        caPems,
        user: null,
        level: null,
        totp: false,
        sso: info.login?.sso ?? null,
        clockOffsetMs: Math.round(serverMs - now()),
        usedAtMs: now(),
      }
      await writeProfileFile(dir, stored)
      const profile = new Profile({ ...seams, noteStep: noteStep(stored.profile), stored, certificate: undefined })
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
