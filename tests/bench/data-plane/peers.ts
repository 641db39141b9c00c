// What people would use in Postern's place, as Debian has it: haproxy, stunnel, OpenSSH, pgbouncer. Says which are there and in
// which version, and starts them in a directory of the benchmark, on free ports of this machine, as nobody's service.
import { access, chown, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { userInfo } from 'node:os'
import { chooseServerUser } from '../../../demo/postgres/server-user.ts'
import { run, type Kept } from '../../support/run.ts'
import { freePort } from '../../support/free-port.ts'
import { startListening } from './listening.ts'
import type { RunningWay } from './way.ts'

/** Where sshd wants an empty directory when root starts it; its service makes it, we have none. */
const SSHD_EMPTY_DIRECTORY = '/run/sshd'

export const PEER_PACKAGES = ['haproxy', 'stunnel4', 'openssh-server', 'pgbouncer'] as const
export type PeerName = 'haproxy' | 'stunnel' | 'ssh' | 'pgbouncer'

type Program = { path: string; versionFlag: string; version: RegExp; package: (typeof PEER_PACKAGES)[number] }
const PROGRAMS: Record<PeerName, Program> = {
  haproxy: { path: '/usr/sbin/haproxy', versionFlag: '-v', version: /HAProxy version (\S+)/, package: 'haproxy' },
  stunnel: { path: '/usr/bin/stunnel4', versionFlag: '-version', version: /stunnel (\S+)/, package: 'stunnel4' },
  ssh: { path: '/usr/sbin/sshd', versionFlag: '-V', version: /OpenSSH_([^\s,]+)/, package: 'openssh-server' },
  pgbouncer: { path: '/usr/sbin/pgbouncer', versionFlag: '-V', version: /PgBouncer (\S+)/, package: 'pgbouncer' },
}

/** Versions of the peers that are here, and a sentence for each that is not. */
export async function findPeers(): Promise<{ versions: Map<PeerName, string>; leftOut: string[] }> {
  const versions = new Map<PeerName, string>()
  const leftOut: string[] = []
  for (const [name, program] of Object.entries(PROGRAMS) as [PeerName, Program][]) {
    try {
      await access(program.path)
      // ssh's own -V: that of an old sshd complains about its usage.
      const { stdout, stderr } = await run(name === 'ssh' ? 'ssh' : program.path, [program.versionFlag])
      versions.set(name, program.version.exec(stdout + stderr)?.[1] ?? 'unknown version')
    } catch {
      leftOut.push(`${name} is not installed (Debian: ${program.package}; npm run bench -- --install-peers)`)
    }
  }
  return { versions, leftOut }
}

function wayOf(port: number, ...processes: Kept[]): RunningWay {
  return {
    port,
    pids: processes.map(({ child }) => child.pid ?? -1),
    stop: async () => {
      await Promise.all(processes.map((process) => process.stop()))
    },
  }
}

const HAPROXY_DEFAULTS = `
defaults
  mode tcp
  timeout connect 5s
  timeout client 120s
  timeout server 120s
`

/** haproxy as the person's gateway: plain TCP in, mutual TLS with ALPN out. Everything else is its default. */
export async function startHaproxyGateway(
  directory: string,
  upstreamPort: number,
  bufferBytes?: number,
  threads?: number,
): Promise<RunningWay> {
  const port = await freePort()
  const file = join(directory, `haproxy-${port}.cfg`)
  const tuning = `${bufferBytes === undefined ? '' : `  tune.bufsize ${bufferBytes}\n`}${threadsOf(threads)}`
  const pems = `crt ${join(directory, 'client.pem')} ca-file ${join(directory, 'ca.pem')}`
  await writeFile(
    file,
    `global\n  maxconn 5000\n${tuning}${HAPROXY_DEFAULTS}
listen gateway
  bind 127.0.0.1:${port}
  server upstream 127.0.0.1:${upstreamPort} ssl ${pems} verify required alpn bench ssl-min-ver TLSv1.3
`,
  )
  return wayOf(port, await startListening(PROGRAMS.haproxy.path, ['-db', '-f', file], port))
}

const threadsOf = (threads: number | undefined): string => (threads === undefined ? '' : `  nbthread ${threads}\n`)

/** A haproxy at each end of the mutual TLS, as the whole way needs it. @param threads of each; its default is one a core */
export async function startHaproxyPair(directory: string, targetPort: number, threads?: number): Promise<RunningWay> {
  const port = await freePort()
  const file = join(directory, `haproxy-${port}.cfg`)
  const pems = `crt ${join(directory, 'server.pem')} ca-file ${join(directory, 'ca.pem')}`
  await writeFile(
    file,
    `global\n  maxconn 5000\n${threadsOf(threads)}${HAPROXY_DEFAULTS}
listen terminator
  bind 127.0.0.1:${port} ssl ${pems} verify required alpn bench ssl-min-ver TLSv1.3
  server target 127.0.0.1:${targetPort}
`,
  )
  const terminator = await startListening(PROGRAMS.haproxy.path, ['-db', '-f', file], port)
  const gateway = await startHaproxyGateway(directory, port, undefined, threads)
  return {
    port: gateway.port,
    pids: [...gateway.pids, terminator.child.pid ?? -1],
    stop: async () => {
      await gateway.stop()
      await terminator.stop()
    },
  }
}

/** stunnel 5.68 knows no ALPN; the upstream lets it in without. */
export async function startStunnel(directory: string, upstreamPort: number): Promise<RunningWay> {
  const port = await freePort()
  const file = join(directory, `stunnel-${port}.conf`)
  await writeFile(
    file,
    `foreground = yes
pid =
debug = err
sslVersionMin = TLSv1.3
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[gateway]
client = yes
accept = 127.0.0.1:${port}
connect = 127.0.0.1:${upstreamPort}
cert = ${join(directory, 'client.pem')}
CAfile = ${join(directory, 'ca.pem')}
verifyChain = yes
`,
  )
  return wayOf(port, await startListening(PROGRAMS.stunnel.path, [file], port))
}

export type SshForward = { port: number; clientPid: number; serverPid: number; stop: () => Promise<void> }

/** `ssh -L` to an sshd of our own, with a fresh key; ciphers as OpenSSH chooses them. */
export async function startSshForward(directory: string, targetPort: number): Promise<SshForward> {
  const [port, sshdPort] = [await freePort(), await freePort()]
  const [key, hostKey] = [join(directory, `ssh-${port}`), join(directory, `ssh-host-${port}`)]
  for (const file of [key, hostKey]) {
    const made = await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file])
    if (made.code !== 0) throw new Error(`ssh-keygen failed: ${made.stderr}`)
  }
  const config = join(directory, `sshd-${port}.conf`)
  await writeFile(
    config,
    `ListenAddress 127.0.0.1:${sshdPort}
HostKey ${hostKey}
AuthorizedKeysFile ${key}.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding yes
LogLevel ERROR
`,
  )
  // The directory is made and, if it was us, taken away again.
  const isOurs =
    process.getuid?.() === 0 &&
    (await mkdir(SSHD_EMPTY_DIRECTORY, { mode: 0o755 }).then(
      () => true,
      () => false,
    ))
  const removeDirectory = async (): Promise<void> => {
    if (isOurs) await rmdir(SSHD_EMPTY_DIRECTORY).catch(() => undefined)
  }
  let sshd: Kept | undefined
  try {
    sshd = await startListening(PROGRAMS.ssh.path, ['-D', '-e', '-f', config], sshdPort)
    const known = join(directory, `known-hosts-${port}`)
    const [type = '', body = ''] = (await readFile(`${hostKey}.pub`, 'utf8')).split(' ')
    await writeFile(known, `[127.0.0.1]:${sshdPort} ${type} ${body}\n`)
    const ssh = await startListening(
      'ssh',
      [
        ...['-F', 'none', '-N', '-i', key, '-p', String(sshdPort)],
        ...['-o', `UserKnownHostsFile=${known}`, '-o', 'IdentitiesOnly=yes', '-o', 'ExitOnForwardFailure=yes'],
        ...['-L', `127.0.0.1:${port}:127.0.0.1:${targetPort}`, `${userInfo().username}@127.0.0.1`],
      ],
      port,
    )
    const server = sshd
    return {
      port,
      clientPid: ssh.child.pid ?? -1,
      serverPid: server.child.pid ?? -1,
      stop: async () => {
        await ssh.stop()
        await server.stop()
        await removeDirectory()
      },
    }
  } catch (error) {
    await sshd?.stop()
    await removeDirectory()
    throw error
  }
}

export type PgbouncerTarget = { port: number; user: string; password: string; database: string }

/** pgbouncer with TLS towards its clients, one server connection each as long as they stay (prepared statements need that). */
export async function startPgbouncer(directory: string, target: PgbouncerTarget): Promise<RunningWay> {
  const port = await freePort()
  const [file, users, key] = ['ini', 'users', 'pem'].map((end) => join(directory, `pgbouncer-${port}.${end}`)) as [
    string,
    string,
    string,
  ]
  await writeFile(key, await readFile(join(directory, 'server.pem')), { mode: 0o600 })
  await writeFile(users, `"${target.user}" "${target.password}"\n`, { mode: 0o600 })
  await writeFile(
    file,
    `[databases]
${target.database} = host=127.0.0.1 port=${target.port} dbname=${target.database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${users}
pool_mode = session
max_client_conn = 500
default_pool_size = 100
client_tls_sslmode = require
client_tls_key_file = ${key}
client_tls_cert_file = ${key}
server_tls_sslmode = disable
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
log_stats = 0
`,
  )
  // It refuses to run as root.
  const user = await chooseServerUser(join(directory, 'none'))
  if (user) for (const path of [key, users]) await chown(path, user.uid, user.gid)
  return wayOf(port, await startListening(PROGRAMS.pgbouncer.path, [file], port, { ...user }))
}
