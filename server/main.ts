// Entry of `postern server …`: reads argv, environment, clock and signals, and hands over to init.ts and start.ts.
import { readFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import { exitCodeOf, PosternError } from '../shared/errors.ts'
import { loadConfig, type ConfigOverrides } from './config.ts'
import { backUp } from './backup.ts'
import { initialise } from './init.ts'
import { startServer } from './start.ts'

const version = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string })
  .version

type Flags = {
  config?: string
  data?: string
  listen?: string
  userTtl?: string
  routeTtl?: string
  role?: string
  json?: boolean
  stopWithParent?: boolean
}

const overridesOf = (flags: Flags): ConfigOverrides => ({
  ...(flags.data === undefined ? {} : { dataDir: flags.data }),
  ...(flags.listen === undefined ? {} : { listen: flags.listen }),
  ...(flags.userTtl === undefined ? {} : { userTtl: flags.userTtl }),
  ...(flags.routeTtl === undefined ? {} : { routeTtl: flags.routeTtl }),
})

const program = new Command('postern server')
  .description('The access server: accounts, roles, certificates, routing, sessions, audit.')
  .version(version)
  .exitOverride()
  .addHelpText(
    'after',
    '\nExit codes: 0 done, 1 failed, 2 usage.\nSettings and their defaults: docs/guide.md, "The access server".',
  )

const settingsFlags = (command: Command): Command =>
  command
    .addOption(new Option('--config <file>', 'settings, one YAML file'))
    .addOption(new Option('--data <dir>', 'data directory (default: the setting dataDir)'))
    .addOption(new Option('--listen <host:port>', 'address of the public TLS port'))
    .addOption(new Option('--json', 'one JSON line instead of text'))

settingsFlags(program.command('init'))
  .description('Makes the data directory, the master key and the CAs; prints the setup code once.')
  .addHelpText('after', '\nExample:\n  postern server init --data /var/lib/postern')
  .action(async (flags: Flags) => {
    const made = await initialise(loadConfig(flags.config, overridesOf(flags)), { now: () => new Date() })
    if (flags.json) {
      print(JSON.stringify(made))
      return
    }
    print(
      [
        `Cluster        ${made.cluster}`,
        `CA fingerprint ${made.fingerprint}`,
        `CA file        ${made.caFile}`,
        `Setup code     ${made.setupCode}   (once: it makes the first administrator)`,
        '',
        'Next: start the server, then make the first administrator:',
        '  postern server start',
        `  postern login ${made.address} --user NAME --ca-pin ${made.fingerprint} --setup-code ${made.setupCode}`,
      ].join('\n'),
    )
  })

settingsFlags(program.command('start'))
  .description('Starts the access server and stays until SIGTERM or SIGINT.')
  .addOption(
    new Option('--role <roles>', 'roles of this process; only all of them in one process exist today').default(
      'auth,proxy,agent',
    ),
  )
  .addOption(new Option('--user-ttl <duration>', 'life of user certificates (overrides ttl.user)'))
  .addOption(new Option('--route-ttl <duration>', 'life of route certificates (overrides ttl.route)'))
  .addOption(new Option('--stop-with-parent', 'also stop when standard input ends').hideHelp())
  .addHelpText('after', '\nExample:\n  postern server start --data /var/lib/postern --listen 0.0.0.0:3443')
  .action(async (flags: Flags) => {
    requireAllRoles(flags.role ?? '')
    const config = loadConfig(flags.config, overridesOf(flags))
    const takenOver = Promise.withResolvers<string>()
    const server = await startServer(config, { now: () => new Date(), version, onTakenOver: takenOver.resolve })
    const ended = new Promise<string>((resolve) => {
      process.once('SIGTERM', resolve)
      process.once('SIGINT', resolve)
      void takenOver.promise.then((why) => {
        // Whoever watches over this process starts it again: it is refused until the store is free.
        process.exitCode = 1
        resolve(why)
      })
      if (flags.stopWithParent)
        process.stdin
          .resume()
          .once('end', () => resolve('parent gone'))
          .once('error', () => resolve('parent gone'))
    })
    const { address, fingerprint, oldFingerprint, operations } = server
    const ready = {
      ...{ cluster: config.cluster, address, fingerprint },
      ...(oldFingerprint === undefined ? {} : { oldFingerprint }),
      ...(operations === undefined ? {} : { operations }),
    }
    print(
      flags.json
        ? JSON.stringify(ready)
        : `Postern access server of cluster ${ready.cluster} listens on ${ready.address}\nCA fingerprint ${ready.fingerprint}${
            oldFingerprint === undefined
              ? ''
              : `\n  until the rotation is finished also ${oldFingerprint} (postern admin ca status)`
          }${operations === undefined ? '' : `\nMetrics and health on http://${operations}/metrics, /readiness, /liveness, /startup`}`,
    )
    const why = await ended
    // Whoever asks twice does not want to wait for connections; a third time is the system's own way.
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => server.hurry())
    await server.stop(why)
    // The process ends by itself now: anything else that held the loop would be a leak.
    if (flags.stopWithParent) process.stdin.destroy()
  })

program
  .command('backup')
  .description(
    'Copies the SQLite store as it is now into a new file, also while the server runs. Without the master key.',
  )
  .addOption(new Option('--config <file>', 'settings, one YAML file'))
  .addOption(new Option('--data <dir>', 'data directory (default: the setting dataDir)'))
  .requiredOption('--to <file>', 'the copy; there must be no such file yet')
  .addHelpText('after', '\nExample:\n  postern server backup --data /var/lib/postern --to /backup/postern-1.sqlite')
  .action(async (flags: Flags & { to: string }) => {
    const config = loadConfig(flags.config, overridesOf(flags))
    await backUp(config, flags.to)
    print(`${flags.to} is a copy of the store. The master key is not in it: keep ${config.masterKeyFile} elsewhere.`)
  })

/** One process has all roles for now: anything else would silently lack what it was asked to leave out. */
function requireAllRoles(text: string): void {
  const roles = text.split(',').map((role) => role.trim())
  const known = ['auth', 'proxy', 'agent']
  const unknown = roles.find((role) => !known.includes(role))
  if (unknown !== undefined)
    throw new PosternError('bad_request', `--role ${unknown}: no such role; there are auth, proxy and agent`)
  if (!known.every((role) => roles.includes(role))) {
    throw new PosternError(
      'unsupported',
      `--role ${text}: roles cannot run in processes of their own yet; leave --role out, and one process has all three`,
    )
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = explain(error)
}

/** One sentence on stderr; the exit code. */
function explain(error: unknown): number {
  if (error instanceof Error && 'exitCode' in error && 'code' in error && String(error.code).startsWith('commander.')) {
    return error.exitCode === 0 ? 0 : 2
  }
  const text =
    error instanceof PosternError
      ? error.message
      : error instanceof Error
        ? (error.stack ?? error.message)
        : String(error)
  process.stderr.write(`postern server: ${text}\n`)
  return exitCodeOf(error)
}
