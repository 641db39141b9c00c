// The names of our own metrics and what each means, as Prometheus and docs/operations.md say it (a test holds the page against this).
// Names follow Prometheus: base units, `_total` for what only grows. Names only grow, too.

export const CATALOGUE_METRICS = {
  postern_build_info: 'Always 1; the version is a label',
  postern_store_up: '1 if the store answered this scrape, else 0',
  postern_sessions: 'Sessions that live now, by state and protocol',
  postern_sessions_started_total: 'Sessions that began',
  postern_sessions_ended_total: 'Sessions that ended, by reason',
  postern_connections: 'Connections that an engine serves now, by protocol',
  postern_connections_total: 'Connections that an engine was given, by protocol',
  postern_connections_closed_total:
    'Connections that are over, by reason: client, target, ended (by the server), or an error code',
  postern_connections_refused_total: 'Connections that were refused before an engine, by error code',
  postern_connection_admission_seconds: 'From the end of the TLS handshake until the client is let in, by protocol',
  postern_tls_handshake_seconds: 'From an accepted connection to the end of its TLS handshake',
  postern_tls_handshakes_failed_total: 'TLS handshakes that failed',
  postern_bytes_total: 'Bytes moved for clients, by protocol and direction (from_client, to_client)',
  postern_statements_total: 'Statements and their parts that went into the audit log',
  postern_logins_total: 'Logins, by how (password, sso, setup code) and outcome (succeeded, or an error code)',
  postern_calls_denied_total: 'Calls of the API that were denied after the login, by error code',
  postern_certificates_issued_total: 'Certificates issued, by kind (user, route)',
  postern_ca_expiry_timestamp_seconds: 'When the CA that signs runs out, by kind (user, server), in seconds since 1970',
  postern_control_streams: 'Control streams that are open now',
  postern_audit_queue_entries: 'Events that are recorded and not yet in the store',
  postern_audit_entries_written_total: 'Events that this process wrote to the store',
  postern_audit_write_failures_total: 'Batches of events that the store refused; each is tried again',
  postern_errors_total: 'Errors that clients were given an error id for, by error code',
} as const
