// The tables of the store as Kysely sees them; server/store/migrations makes them, in SQLite and PostgreSQL alike.
// Times are ISO 8601 in UTC as text, flags are 0/1, structured values are JSON as text: the same in both dialects.
// Columns named *_sealed hold AES-256-GCM under the master key (server/secrets), never plain text (C1).
import type { Generated } from 'kysely'

/** The two databases that the same queries run on. */
export type StoreDialect = 'sqlite' | 'postgres'

export interface Tables {
  settings: { key: string; value: string }
  ca_keys: {
    id: string
    kind: 'user' | 'server'
    certificate_pem: string
    key_sealed: string
    created_at: string
    /** `active` signs; `trusted` is the one before it, while a rotation goes on (C7). */
    state: 'active' | 'trusted'
    /** Server CA only: certificates in which its predecessors vouch for it, newest first. */
    cross_pem: string | null
  }
  /** For the record, and to tell their certificates from strangers': CAs that sign and are trusted no more, without keys. */
  dropped_cas: {
    id: string
    kind: 'user' | 'server'
    certificate_pem: string
    created_at: string
    dropped_at: string
  }
  users: {
    name: string
    email: string | null
    level: 'none' | 'viewer' | 'editor' | 'admin'
    disabled: number
    /** argon2id in PHC string form; null: cannot log in with a password. */
    password_hash: string | null
    totp_sealed: string | null
    /** A seed that was handed out but not yet confirmed by a code. */
    totp_pending_sealed: string | null
    /** Last 30 s step that was used: the same code or an older one is refused. */
    totp_last_step: number
    created_at: string
  }
  roles: { name: string; spec: string }
  resources: { name: string; protocol: string; spec: string }
  resource_accounts: { resource: string; position: number; name: string; password_sealed: string | null }
  grants: { user_name: string; role: string; until: string | null; created_at: string }
  logins: {
    id: string
    user_name: string
    address: string
    created_at: string
    expires_at: string
    ended_at: string | null
    ended_reason: string | null
    /** The user CA of the certificate that this login presented last. */
    ca_id: string | null
  }
  routes: {
    id: string
    login_id: string
    resource: string
    protocol: string
    account: string
    created_at: string
    /** The user CA and the end of the route's latest certificate. */
    ca_id: string | null
    certificate_ends_at: string | null
  }
  /** Logins at the identity provider that are under way. */
  sso_requests: {
    id: string
    redirect_uri: string
    /** S256 challenge of a verifier that only the client has. */
    challenge: string
    /** State, nonce and PKCE verifier as JSON. */
    journey_sealed: string
    address: string
    created_at: string
    expires_at: string
  }
  sessions: {
    id: string
    route_id: string
    login_id: string
    user_name: string
    resource: string
    protocol: string
    account: string
    address: string
    state: 'starting' | 'active' | 'ended'
    started_at: string
    active_at: string | null
    ended_at: string | null
    end_reason: string | null
    /** Who ended it, where a person did. */
    ended_by: string | null
    /** What the reason alone does not say: which limit, and whose. */
    end_why: string | null
    /** From here on: as kept last while it lives (kept-counts.ts), then as of its end; null: a crash came before. */
    connections_total: number | null
    bytes_from_client: number | null
    bytes_to_client: number | null
    statements: number | null
    last_activity_at: string | null
    last_statement_at: string | null
  }
  audit: {
    seq: Generated<number>
    time: string
    event: string
    user_name: string | null
    login_id: string | null
    session_id: string | null
    connection_id: string | null
    resource: string | null
    account: string | null
    address: string | null
    detail: string
  }
}
