// What every command of the CLI is given: the terminal, a way to the core, the person's interrupt, the clock. Made by
// main.ts; tests make their own.
import type { Readable } from 'node:stream'
import type { OpenedApp } from '../client/app/open-app.ts'
import type { EventName, EventPayload, Method, Params, Result } from '../shared/rpc.ts'

/** stdin as far as prompts need it: a terminal has `setRawMode`. */
export type TerminalInput = Readable & { isTTY?: boolean; setRawMode?: (raw: boolean) => unknown }

export type Terminal = {
  stdin: TerminalInput
  /** Results, for people or (with --json) for machines. `written` is called when the text has left. */
  stdout: { write(text: string, written?: () => void): unknown }
  /** Everything else: prompts, progress, errors. */
  stderr: { write(text: string): unknown }
  /** Whether a person sits at both ends, so that a password can be asked for. */
  canAsk: boolean
  /** How big the screen behind stdout is now; absent where it is none. */
  screen?: (() => { columns: number; rows: number }) | undefined
  /** Opens a link in the person's browser; whether it tried. Absent where there is no screen, or nobody looks at the output. */
  openLink?: ((url: string) => boolean) | undefined
}

/** The core as a host sees it; `client/connect.ts` makes one. */
export interface Core {
  /** What the core said of itself in its hello. */
  readonly core: Result<'hello'>
  call<M extends Method>(method: M, params: Params<M>): Promise<Result<M>>
  /** Returns the function that stops listening. */
  on<E extends EventName>(event: E, listener: (payload: EventPayload<E>) => void): () => void
  /** Resolves when the connection is over, whoever ended it. */
  readonly closed: Promise<unknown>
  close(): Promise<void>
}

export type Context = {
  terminal: Terminal
  /** Connects to the core of this home, starting it if none runs. `canAsk`: logins may be put before this terminal. */
  connect(options: { canAsk: boolean }): Promise<Core>
  /** Stops the core of this home, whatever its version; false if none ran. Starts none. */
  stopCore(): Promise<boolean>
  /**
   * The app of this home: in a window if `open` and there is a display, else only its browser host, whose URL the person
   * opens. `tunnel` is the ssh line for another machine.
   */
  openApp(options: { open: boolean }): Promise<OpenedApp & { tunnel: string | null }>
  /** Aborts on Ctrl-C, SIGTERM, SIGHUP, and when the launcher was killed. */
  interrupt: AbortSignal
  now(): Date
}
