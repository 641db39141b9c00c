// Who is asked for one login (design: "Who asks for a login"): the attached host whose gateway was hit, else the window, else the
// page, else the terminal that came last. One is asked; every host that was shown the request hears when it is over. Called by
// login-requests.ts, which decides whether anybody may be disturbed at all.
import type { EventPayload, LoginPrompt } from '../../shared/rpc.ts'
import type { Host, HostKind, Hosts } from '../control/hosts.ts'

export class WhoIsAsked {
  readonly #hosts: Hosts
  #asked: { id: number; kind: HostKind } | undefined
  /** Hosts that show it, as a question or as a notification. */
  readonly #told = new Set<number>()

  constructor(hosts: Hosts) {
    this.#hosts = hosts
  }

  /** The kind of host that shows the question now. */
  get kind(): HostKind | undefined {
    return this.#asked?.kind
  }

  get isSomebody(): boolean {
    return this.#asked !== undefined
  }

  is(hostId: number): boolean {
    return this.#asked?.id === hostId
  }

  /** Puts it before the host that comes first. @returns false if none of those attached can ask */
  askFirst(prompt: LoginPrompt, preferred: number | undefined): boolean {
    const host = this.#hosts.chooseAsker(preferred)
    if (!host) return false
    this.ask(prompt, host)
    return true
  }

  /** Puts it before this host; the one that was asked before closes its question. */
  ask(prompt: LoginPrompt, host: Host): void {
    if (this.#asked && this.#asked.id !== host.id) {
      const text = 'it is being answered in another window'
      const { requestId, profile } = prompt
      this.#hosts.find(this.#asked.id)?.send('login.closed', { requestId, profile, outcome: 'withdrawn', text })
      this.#told.delete(this.#asked.id)
    }
    this.#asked = { id: host.id, kind: host.kind }
    this.#told.add(host.id)
    host.send('login.requested', prompt)
  }

  /** Nobody can be asked, or should be: every host may say that a login is needed. */
  tellAll(prompt: LoginPrompt): void {
    this.#asked = undefined
    for (const host of this.#hosts.list()) this.#told.add(host.id)
    this.#hosts.broadcast('login.needed', prompt)
  }

  /** The host that was asked has gone. */
  forgetAsked(): void {
    if (this.#asked) this.#told.delete(this.#asked.id)
    this.#asked = undefined
  }

  /** How many wait has changed. */
  update(prompt: LoginPrompt): void {
    if (this.#asked) this.#hosts.find(this.#asked.id)?.send('login.updated', prompt)
  }

  /** It is over: whoever shows it closes it. */
  close(event: EventPayload<'login.closed'>): void {
    for (const id of this.#told) this.#hosts.find(id)?.send('login.closed', event)
    this.#told.clear()
    this.#asked = undefined
  }
}
