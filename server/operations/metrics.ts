// What the access server counts of itself, as Prometheus metrics. The parts do not know of it: it listens at the seams they have (the
// audit log, the engines, the reporter of errors), or asks them when it is scraped. Made by start.ts, read over operations-port.ts.
// No label names a person, a resource or an address.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { PumpProgress } from '../../link/link.ts'
import type { OwnedAuditLog } from '../audit/audit-log.ts'
import type { AuditEntry, Engine, ReportError } from '../seams.ts'
import type { Db } from '../store/store.ts'
import { CATALOGUE_METRICS } from './metric-texts.ts'

/** Upper bounds of the histograms, in seconds: from a handshake on the same machine to what nobody waits for any more. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** What is asked when somebody scrapes. */
export type MetricSources = {
  db: Db
  audit: Pick<OwnedAuditLog, 'state'>
  controlStreams: () => number
  /** Of the CAs that sign. */
  caExpiry: () => { kind: string; notAfter: Date }[]
}

export interface Metrics {
  /** Counts what is recorded, and passes it on. */
  watchAudit(audit: OwnedAuditLog): OwnedAuditLog
  watchEngine(protocol: string, engine: Engine): Engine
  watchErrors(report: ReportError): ReportError
  /** A TLS handshake on the public port is over, so many seconds after the connection was accepted. */
  handshake(isGood: boolean, seconds: number): void
  /** A connection for an engine has finished its handshake; ends when the engine admits it. */
  admissionBegins(link: object): void
  certificateIssued(kind: 'user' | 'route'): void
  askWhenScraped(sources: MetricSources): void
  /** The page, in the text format of Prometheus. */
  page(): Promise<{ contentType: string; text: string }>
}

/** @param options.withDefaults also what prom-client knows of the process: it looks at the event loop all the time */
export function createMetrics(options: { version: string; withDefaults: boolean }): Metrics {
  const registry = new Registry()
  const named = (name: keyof typeof CATALOGUE_METRICS) => ({
    name,
    help: CATALOGUE_METRICS[name],
    registers: [registry],
  })
  const counter = <L extends string>(name: keyof typeof CATALOGUE_METRICS, ...labelNames: L[]) =>
    new Counter({ ...named(name), labelNames })
  const gauge = <L extends string>(name: keyof typeof CATALOGUE_METRICS, ...labelNames: L[]) =>
    new Gauge({ ...named(name), labelNames })
  const histogram = <L extends string>(name: keyof typeof CATALOGUE_METRICS, ...labelNames: L[]) =>
    new Histogram({ ...named(name), labelNames, buckets: SECONDS })

  if (options.withDefaults) collectDefaultMetrics({ register: registry })
  gauge('postern_build_info', 'version').set({ version: options.version }, 1)
  const logins = counter('postern_logins_total', 'how', 'outcome')
  const sessionsStarted = counter('postern_sessions_started_total')
  const sessionsEnded = counter('postern_sessions_ended_total', 'reason')
  const connections = gauge('postern_connections', 'protocol')
  const connectionsTotal = counter('postern_connections_total', 'protocol')
  const connectionsClosed = counter('postern_connections_closed_total', 'reason')
  const connectionsRefused = counter('postern_connections_refused_total', 'code')
  const callsDenied = counter('postern_calls_denied_total', 'code')
  const statements = counter('postern_statements_total')
  const bytes = counter('postern_bytes_total', 'protocol', 'direction')
  const admission = histogram('postern_connection_admission_seconds', 'protocol')
  const handshakes = histogram('postern_tls_handshake_seconds')
  const handshakesFailed = counter('postern_tls_handshakes_failed_total')
  const errors = counter('postern_errors_total', 'code')
  const certificates = counter('postern_certificates_issued_total', 'kind')

  const count = ({ event, connection, detail = {} }: AuditEntry): void => {
    const { how, code, reason } = detail
    if (event.startsWith('statement.')) statements.inc()
    else if (event === 'login.succeeded') logins.inc({ how: String(how), outcome: 'succeeded' })
    else if (event === 'login.failed') logins.inc({ how: String(how), outcome: String(code) })
    else if (event === 'session.start') sessionsStarted.inc()
    else if (event === 'session.end') sessionsEnded.inc({ reason: String(reason) })
    else if (event === 'connection.close') connectionsClosed.inc({ reason: String(reason) })
    else if (event === 'access.denied')
      (connection === undefined ? callsDenied : connectionsRefused).inc({ code: String(code) })
  }

  /** What the connections of a protocol have moved; `counted` of it is in the counter already. */
  const moving = new Map<PumpProgress, { protocol: string; holders: number; counted: PumpProgress }>()
  const countBytes = (progress: PumpProgress): void => {
    const known = moving.get(progress)
    if (!known) return
    const { protocol, counted } = known
    const { forward, backward } = progress
    bytes.inc({ protocol, direction: 'from_client' }, Math.max(0, forward - counted.forward))
    bytes.inc({ protocol, direction: 'to_client' }, Math.max(0, backward - counted.backward))
    known.counted = { forward, backward }
  }
  let scrape: () => Promise<void> = () => Promise.resolve()
  const begun = new WeakMap<object, number>()

  return {
    watchAudit: (audit) => ({
      ...audit,
      record(entry) {
        count(entry)
        audit.record(entry)
      },
    }),

    watchEngine: (protocol, engine) => ({
      ...engine,
      async serve(connection) {
        const { link, progress } = connection
        const known = moving.get(progress) ?? { protocol, holders: 0, counted: { ...progress } }
        known.holders++
        moving.set(progress, known)
        connections.inc({ protocol })
        connectionsTotal.inc({ protocol })
        const admit = async () => {
          const beginning = begun.get(link)
          if (beginning !== undefined) admission.observe({ protocol }, (performance.now() - beginning) / 1000)
          await connection.admit()
        }
        try {
          await engine.serve({ ...connection, admit })
        } finally {
          connections.dec({ protocol })
          countBytes(progress)
          if (--known.holders === 0) moving.delete(progress)
        }
      },
    }),

    watchErrors: (report) => (code, cause, log) => {
      errors.inc({ code })
      return report(code, cause, log)
    },

    handshake(isGood, seconds) {
      if (isGood) handshakes.observe(seconds)
      else handshakesFailed.inc()
    },
    admissionBegins: (link) => void begun.set(link, performance.now()),
    certificateIssued: (kind) => certificates.inc({ kind }),

    askWhenScraped({ db, audit, controlStreams, caExpiry }) {
      const controlStreamsNow = gauge('postern_control_streams')
      const waiting = gauge('postern_audit_queue_entries')
      const written = counter('postern_audit_entries_written_total')
      const failures = counter('postern_audit_write_failures_total')
      const storeUp = gauge('postern_store_up')
      const sessions = gauge('postern_sessions', 'state', 'protocol')
      const caEnds = gauge('postern_ca_expiry_timestamp_seconds', 'kind')
      const counted = { written: 0, failures: 0 }
      scrape = async () => {
        controlStreamsNow.set(controlStreams())
        const state = audit.state()
        waiting.set(state.waiting)
        written.inc(state.written - counted.written)
        failures.inc(state.failures - counted.failures)
        Object.assign(counted, state)
        for (const { kind, notAfter } of caExpiry()) caEnds.set({ kind }, Math.floor(notAfter.getTime() / 1000))
        const living = await countSessions(db).catch(() => undefined)
        storeUp.set(living === undefined ? 0 : 1)
        // Of a store that does not answer, nothing is known.
        sessions.reset()
        for (const { state: of, protocol, count: many } of living ?? [])
          sessions.set({ state: of, protocol }, Number(many))
      }
    },

    async page() {
      for (const progress of moving.keys()) countBytes(progress)
      await scrape()
      return { contentType: registry.contentType, text: await registry.metrics() }
    },
  }
}

const countSessions = (db: Db) =>
  db
    .selectFrom('sessions')
    .select(['state', 'protocol', ({ fn }) => fn.countAll().as('count')])
    .where('state', '<>', 'ended')
    .groupBy(['state', 'protocol'])
    .execute()
