// What a gateway has to know of the protocol that goes through it, and nothing more: one implementation a folder, found by
// protocols.ts. Called by gateway.ts, connection.ts and connection-test.ts, which know no protocol by name.
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Alpn } from '../../../shared/names.ts'

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
  readOpening(socket: Socket, signal: AbortSignal): Promise<Opening>
  /** The last bytes for a client that is not connected, in its own protocol (G7); empty where it has no such thing. */
  lastWordsFor(error: unknown, context: ErrorContext): Buffer
  /** What a person pastes into a client: URL and environment. */
  stringsFor(target: ConnectionTarget): ConnectionStrings
  /** The steps of a connection test behind the preamble; throws at the one that fails. May have none. */
  probe(stream: Duplex, target: ProbeTarget, step: RunStep, signal: AbortSignal): Promise<void>
}

export type Opening =
  /** `bytes` go to the server as they came; `client` is the name that the program gave, if it gave one. */
  | { kind: 'session'; bytes: Buffer; client: string | null }
  /** Goes out on `alpn` at once with whatever certificate there is: never held, never asks for a login (DB1). */
  | { kind: 'cancel'; bytes: Buffer; alpn: Alpn }
  /** Not a client of this protocol: closed without a word. */
  | { kind: 'garbage'; text: string }

/** What the texts of errors name. */
export type ErrorContext = { profile: string; resource: string; account: string; loginCommand: string }

export type ConnectionTarget = {
  host: string
  port: number
  account: string
  /** Empty where the protocol has none. */
  database: string
  /** Seconds that the client should wait for the connection. */
  connectTimeoutSeconds: number
}

export type ConnectionStrings = { url: string; env: Record<string, string> }

export type ProbeTarget = { account: string; database: string }

/** Runs one step of a connection test; what it resolves to is told to the person beside the step. */
export type RunStep = (name: string, run: () => Promise<string | null>) => Promise<void>
