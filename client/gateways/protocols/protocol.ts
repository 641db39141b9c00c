// What a gateway has to know of the protocol that goes through it, and nothing more: one implementation a folder, found by
// protocols.ts. Called by gateway.ts, connection.ts and connection-test.ts, which know no protocol by name.
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Alpn } from '../../../shared/names.ts'
import type { ByteScreen } from './http-screen.ts'

export interface GatewayProtocol {
  /** Under this name the access server is dialled. */
  readonly alpn: Alpn
  /** Whether the FIN of a client that is held means that it has gone (G8), or only that it has said everything. */
  readonly isEndAHangUp: boolean
  /** Whether its strings name a database that a person may choose (G16). */
  readonly hasDatabases: boolean
  /**
   * Hears out an accepted client up to what it wants, and leaves what follows in the stream. What it throws (or StreamEndedError:
   * the client went away) closes the connection without a word, and nobody is asked to log in (G2).
   */
  readOpening(socket: Socket, waiting: OpeningWait): Promise<Opening>
  /** The last bytes for a client that is not connected, in its own protocol (G7); empty where it has no such thing. */
  lastWordsFor(error: unknown, context: ErrorContext): Buffer
  /**
   * Makes the check of a password of the gateway's own (G18), done after the opening in the client's own protocol and before
   * anything is held or dialled; null where the protocol has no place for one.
   */
  readonly passwordCheck: ((password: string) => CheckPassword) | null
  /** The name of a Unix socket in a directory; `isNameFixed`: clients of the protocol find it under no other. */
  socketName(names: { port: number; resource: string }): { name: string; isNameFixed: boolean }
  /** What a person pastes into a client: URL and environment. */
  stringsFor(target: ConnectionTarget): ConnectionStrings
  /** The steps of a connection test behind the preamble; throws at the one that fails. May have none. */
  probe(stream: Duplex, target: ProbeTarget, step: RunStep, signal: AbortSignal): Promise<void>
}

/** `isPersonNeeded`: somebody would be asked to log in for this connection, so that a moment more to look at it costs nothing. */
export type OpeningWait = { signal: AbortSignal; isPersonNeeded: boolean }

/**
 * Asks the client for the gateway's password; whether it knows it. What it throws closes the connection without a word, as
 * readOpening's errors do.
 */
export type CheckPassword = (stream: Duplex, signal: AbortSignal) => Promise<boolean>

export type Opening =
  /**
   * `bytes` go to the server as they came; `client` is the name that the program gave, if it gave one. With a `screen` they and
   * what follows are looked at first (it has seen none of them yet).
   */
  | { kind: 'session'; bytes: Buffer; client: string | null; screen?: ByteScreen }
  /** Goes out on `alpn` at once with whatever certificate there is: never held, never asks for a login (DB1). */
  | { kind: 'cancel'; bytes: Buffer; alpn: Alpn }
  /** Not a client of this protocol: closed without a word. */
  | { kind: 'garbage'; text: string }

/** What the texts of errors name. */
export type ErrorContext = { profile: string; resource: string; account: string; loginCommand: string }

export type ConnectionTarget = {
  /** An address; or the directory of a Unix socket that `socketName` named. */
  host: string
  port: number
  account: string
  /** Empty where the protocol has none. */
  database: string
  /** Seconds that the client should wait for the connection. */
  connectTimeoutSeconds: number
  /** The gateway's own, if it asks for one. */
  password?: string | undefined
  /** The Unix socket in place of address and port. */
  socket?: string | undefined
}

export type ConnectionStrings = { url: string; env: Record<string, string> }

export type ProbeTarget = { account: string; database: string }

/** Runs one step of a connection test; what it resolves to is told to the person beside the step. */
export type RunStep = (name: string, run: () => Promise<string | null>) => Promise<void>
