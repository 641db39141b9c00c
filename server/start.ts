// `postern server start`: puts the parts together in the order in which they need each other, and takes them apart again in
// the reverse order. Called by main.ts.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { randomBytes, randomUUID } from 'node:crypto'
import pino, { type Logger } from 'pino'
import { ALPN } from '../shared/names.ts'
import { PosternError } from '../shared/errors.ts'
import { takeProcessLock } from '../link/process-lock.ts'
import { createAccessCheck } from './access/access-check.ts'
import { createCredentialStore } from './access/credentials.ts'
import { createAuditLog } from './audit/audit-log.ts'
import { createAuditReader } from './audit/audit-reader.ts'
import { keepRetention } from './audit/retention.ts'
import { createSqliteRowWriter } from './audit/sqlite-row-writer.ts'
import { fingerprintOf, openAuthority, type Authority } from './ca/authority.ts'
import { writeCaFile } from './ca/ca-file.ts'
import { createCaRotation } from './ca/rotation.ts'
import type { ServerTls } from './ca/server-tls.ts'
import type { ServerConfig } from './config.ts'
import { createControlStreams } from './control/hub.ts'
import { createSilentTunnels } from './control/silent-tunnels.ts'
import type { ControlTimings } from './control/stream.ts'
import { createPostgresEngine } from './engines/postgres/engine.ts'
import { createTcpEngine } from './engines/tcp/engine.ts'
import { drain } from './operations/drain.ts'
import { createHealth } from './operations/health.ts'
import { createMetrics } from './operations/metrics.ts'
import { openOperationsPort } from './operations/operations-port.ts'
import { createReportError } from './report-error.ts'
import { openPublicPort, type PortIdentity } from './router/public-port.ts'
import { linkOf } from '../link/link.ts'
import type { TunnelSettings } from '../link/tunnel/tunnel.ts'
import { serveRouteConnection, type RoutePeer } from './router/route-connection.ts'
import { serveRouteTunnel } from './router/route-tunnel.ts'
import type { Clock } from './seams.ts'
import { startReaper } from './sessions/reaper.ts'
import { createSessions } from './sessions/sessions.ts'
import { loadMasterKey } from './secrets/master-key.ts'
import { createProvider } from './sso/provider.ts'
import { takeStore } from './store/sole-server.ts'
import { openStore } from './store/store.ts'
import { readSetting } from './store/settings.ts'
import { createWebApp } from './web/web-app.ts'

/** How long connections may take to end after they were told that the server stops. */
const STOP_GRACE_MS = 5000
/** Of the log, what may wait for a disk that takes nothing; what is more is dropped. In bytes. */
const LOG_WAITING_BYTES = 1024 * 1024
/** How soon it is tried again, in ms. */
const LOG_RETRY_MS = 1000
/** Dial, TLS and authentication at a target together. */
const TARGET_DIAL_TIMEOUT_MS = 20_000

export type RunningServer = {
  /** HOST:PORT that it listens on. */
  address: string
  /** Of the server CA that signs. */
  fingerprint: string
  /** While the CAs are rotated: of the one before it, which counts too (C7). */
  oldFingerprint: string | undefined
  /** Where metrics and health are, HOST:PORT; undefined: nowhere. */
  operations: string | undefined
  /** Graceful and bounded; idempotent. @param why for the audit log */
  stop(why: string): Promise<void>
  /** A stop that is under way does not wait for connections any longer. */
  hurry(): void
}

export type StartOptions = {
  now: Clock
  version: string
  /** Where the audit goes; the store if not given. Only the benchmark gives another one. */
  openAudit?: typeof createAuditLog
  /** Another server has taken a PostgreSQL store over while this one could not reach it: it must stop. */
  onTakenOver?: (why: string) => void
  /** Of the control streams; tests shorten them. */
  controlTimings?: ControlTimings
  /** Of the tunnels; tests shorten them. */
  tunnels?: TunnelSettings
}

/**
 * Starts the access server on an initialised data directory.
 * @throws PosternError `misconfigured` with the setting that is wrong, `conflict` if a server runs on this data already
 */
export async function startServer(config: ServerConfig, options: StartOptions): Promise<RunningServer> {
  requireMasterKey(config)
  const { log, closeLog } = openLog(config)
  try {
    return await open(config, options, log, closeLog)
  } catch (error) {
    // The sentence that the operator is told names what is wrong; what lies under it is here.
    if (!(error instanceof PosternError) || error.cause !== undefined)
      log.error({ err: error }, 'the access server cannot start')
    closeLog()
    throw error
  }
}

/** Puts the parts together; whatever was opened is closed again if one of them fails. */
async function open(
  config: ServerConfig,
  { now, version, openAudit = createAuditLog, controlTimings, tunnels, onTakenOver = () => undefined }: StartOptions,
  log: Logger,
  closeLog: () => void,
): Promise<RunningServer> {
  await using opened = new AsyncDisposableStack()
  const lock = takeProcessLock(join(config.dataDir, 'server.lock'))
  if (!lock) throw new PosternError('conflict', `an access server runs on ${config.dataDir} already`)
  opened.defer(() => lock.release())

  const health = createHealth()
  const metrics = createMetrics({ version, withDefaults: config.metrics.listen !== undefined })
  const operations = config.metrics.listen && (await openOperationsPort(config.metrics.listen, { health, metrics }))
  opened.defer(() => operations?.close())

  const masterKey = await loadMasterKey(config.masterKeyFile)
  // Before its tables are brought up to date: another server may be running on them.
  opened.defer(await takeStore(config.store, { onTakenOver, log }))
  const store = await openStore(config.store, (error) => log.warn({ err: error }, 'a connection to the store broke'))
  opened.defer(() => store.close())
  const { db } = store
  requireCluster(config, await readSetting(db, 'cluster'))
  const authority = await openAuthority(db, masterKey, now, (kind) => metrics.certificateIssued(kind))
  const writer = config.store.kind === 'sqlite' ? { writer: createSqliteRowWriter(config.store.file) } : {}
  const audit = metrics.watchAudit(openAudit({ db, now, log, ...writer }))
  opened.defer(() => audit.close())

  const limitDefaults = { maxDurationMs: config.sessions.maxDuration, idleTimeoutMs: config.sessions.idleTimeout }
  const access = createAccessCheck({ db, authority, cluster: config.cluster, now, limitDefaults })
  const control = createControlStreams({ limits: config.controlStreams, log })
  const sessions = createSessions({
    ...{ db, audit, access, control, now, log },
    monotonicMs: () => performance.now(),
    newId: randomUUID,
  })
  const leftovers = await sessions.recover()
  if (leftovers > 0) log.warn({ sessions: leftovers }, 'sessions that an earlier run left over were ended as restart')
  const reportError = metrics.watchErrors(createReportError(() => randomBytes(4).toString('hex')))
  const engines = {
    postgres: metrics.watchEngine(
      'postgres',
      createPostgresEngine({
        credentials: createCredentialStore(db, masterKey),
        audit,
        reportError,
        dialTimeoutMs: TARGET_DIAL_TIMEOUT_MS,
        writeStallMs: config.sessions.writeStallTimeout,
        now,
        random: randomBytes,
      }),
    ),
    tcp: metrics.watchEngine(
      'tcp',
      createTcpEngine({
        ...{ audit, reportError, dialTimeoutMs: TARGET_DIAL_TIMEOUT_MS },
        writeStallMs: config.sessions.writeStallTimeout,
      }),
    ),
  }
  const caRotation = createCaRotation({
    ...{ db, audit, masterKey, authority, now },
    cluster: config.cluster,
    serverNames: config.serverNames,
    publish: async (material) => {
      port.setIdentity(portIdentity(material, authority))
      control.casChanged()
      await refreshCaFile(config, authority, log)
      log.info({ fingerprint: authority.fingerprint }, 'the CAs were changed')
    },
  })
  const web = await createWebApp({
    ...{
      db,
      masterKey,
      authority,
      caRotation,
      access,
      sessions,
      control,
      audit,
      auditReader: createAuditReader({ db, audit }),
      now,
      reportError,
      log,
      version,
    },
    cluster: config.cluster,
    routeTtlMs: config.ttl.route,
    userTtlMs: config.ttl.user,
    loginLimits: config.loginLimits,
    provider: config.oidc && createProvider(config.oidc, now),
    ...(controlTimings ? { controlTimings } : {}),
  })
  opened.defer(() => web.close())

  const stopping = new AbortController()
  /** Comes before it: nothing new from then on. */
  const draining = new AbortController()
  const running = new Set<Promise<void>>()
  const serveRoute = (peer: RoutePeer): void => {
    metrics.admissionBegins(peer.link)
    const served = serveRouteConnection(peer, {
      ...{ access, sessions, engines, audit, reportError, now, log },
      newId: randomUUID,
      stopping: stopping.signal,
    }).finally(() => running.delete(served))
    running.add(served)
  }
  const onSilent = createSilentTunnels({ access, sessions, streams: control, now, log })
  const port = await openPublicPort({
    ...config.listen,
    ...portIdentity(await authority.serverTls(config.serverNames), authority),
    log,
    onHandshake: (isGood, seconds) => metrics.handshake(isGood, seconds),
    onConnection: (socket, alpn, transport) => {
      if (alpn === ALPN.web || alpn === ALPN.control) {
        web.handleConnection(socket)
        return
      }
      if (alpn === ALPN.tunnel) {
        void serveRouteTunnel(
          { socket, transport },
          { serve: serveRoute, onSilent, draining: draining.signal, log, ...(tunnels ? { settings: tunnels } : {}) },
        )
        return
      }
      const address = `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`
      const certificate = socket.getPeerX509Certificate()
      serveRoute({ link: linkOf(socket, transport), certificate, alpn, address })
    },
  })
  opened.defer(() => port.destroy())
  await refreshCaFile(config, authority, log)

  const reaper = startReaper({ sessions, control, db, now, intervalMs: config.sessions.reaperInterval, log })
  const { retention } = config.audit
  if (retention !== undefined) opened.defer(keepRetention({ db, audit, retentionMs: retention, now, log }))
  metrics.askWhenScraped({
    ...{ db, audit },
    controlStreams: () => control.size,
    caExpiry: () =>
      [authority.cas.user, authority.cas.server].map(({ kind, certificate }) => ({
        kind,
        notAfter: certificate.validToDate,
      })),
  })
  health.started({ db, audit })
  audit.record({ event: 'server.start', detail: { version, address: `${port.host}:${port.port}` } })
  log.info({ address: `${port.host}:${port.port}`, cluster: config.cluster, version }, 'the access server listens')

  const resources = opened.move()
  const hurry = new AbortController()
  let stopped: Promise<void> | undefined
  const stop = async (why: string): Promise<void> => {
    log.info({ why }, 'the access server stops')
    await drain({
      ...{ delayMs: config.drain.delay, timeoutMs: config.drain.timeout },
      ...{ health, running, hurry: hurry.signal, log },
      stopAccepting: () => {
        port.stopAccepting()
        draining.abort()
      },
    })
    await reaper.stop()
    // Clients are told in their protocol (57P01) before anything is closed under them.
    await sessions.endAll()
    stopping.abort(new Error('the access server stops'))
    // Before the port drops what is left: requests get their answers, control streams their goodbye.
    await Promise.all([settledWithin(running, STOP_GRACE_MS), web.close()])
    audit.record({ event: 'server.stop', detail: { why } })
    await resources.disposeAsync()
    closeLog()
  }
  return {
    address: `${port.host.includes(':') ? `[${port.host}]` : port.host}:${port.port}`,
    fingerprint: authority.fingerprint,
    oldFingerprint: oldFingerprintOf(authority),
    operations: operations?.address,
    stop: (why) => (stopped ??= stop(why)),
    hurry: () => hurry.abort(),
  }
}

const portIdentity = (material: ServerTls, authority: Authority): PortIdentity => ({
  material,
  clientCas: authority.trustedUserCas().map((certificate) => certificate.toString()),
})

function oldFingerprintOf(authority: Authority): string | undefined {
  const old = authority.cas.old.find(({ kind }) => kind === 'server')
  return old && fingerprintOf(old.certificate)
}

/** The file is a copy for people and scripts: a server that cannot write it still serves. */
const refreshCaFile = (config: ServerConfig, authority: Authority, log: Logger): Promise<void> =>
  writeCaFile(config.dataDir, authority.serverCaPem).catch((error: unknown) =>
    log.error({ err: error }, 'the CA file could not be written; it may name an old CA'),
  )

/** Waits for what runs now, at most that long. */
async function settledWithin(running: ReadonlySet<Promise<unknown>>, graceMs: number): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => resolve(undefined), graceMs)
  await Promise.race([Promise.allSettled(running).then(() => undefined), late])
  clearTimeout(timer)
}

/** Without one there is no server yet; but one that has a store has lost its key, and `init` would not help. */
function requireMasterKey({ masterKeyFile, dataDir, store }: ServerConfig): void {
  if (existsSync(masterKeyFile)) return
  throw new PosternError(
    'misconfigured',
    store.kind === 'sqlite' && existsSync(store.file)
      ? `the master key file ${masterKeyFile} is missing, and what is in the store ${store.file} cannot be read without it: put it back`
      : `there is no server in ${dataDir} yet: run \`postern server init --data ${dataDir}\` first, or put back the master key file ${masterKeyFile}`,
  )
}

/** The name is in every certificate: another one in the settings would refuse everybody, so it is refused here. */
function requireCluster(config: ServerConfig, stored: string | undefined): void {
  if (stored === config.cluster) return
  throw new PosternError(
    'misconfigured',
    stored === undefined
      ? `the store of ${config.dataDir} was never initialised: run \`postern server init\` first`
      : `cluster: the settings say ${config.cluster}, but ${config.dataDir} was initialised as ${stored}`,
  )
}

function openLog(config: ServerConfig): { log: Logger; closeLog: () => void } {
  const destination = pino.destination({
    ...{ dest: config.log.file ?? 2, append: true, sync: true, mkdir: true },
    maxLength: LOG_WAITING_BYTES,
  })
  // A disk that is full must not end the server: what waits is written when there is room again.
  let retry: NodeJS.Timeout | undefined
  destination.on('error', () => {
    retry ??= setTimeout(() => {
      retry = undefined
      destination.write('')
    }, LOG_RETRY_MS).unref()
  })
  const settings = { level: config.log.level, base: null, timestamp: pino.stdTimeFunctions.isoTime }
  return {
    log: pino(settings, destination),
    closeLog: () => {
      clearTimeout(retry)
      if (config.log.file !== undefined) destination.end()
    },
  }
}
