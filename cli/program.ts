// The command line: every command with its description, flags and an example. Knows no command's work: each is loaded when
// it runs, so that `postern --help` is quick. Used by main.ts.
import { Command, InvalidArgumentError, Option } from 'commander'
import { addAdminCommands } from './admin-commands.ts'
import { addAuditCommands } from './audit-commands.ts'
import { EXIT_CODES, jsonOption, notThereYet, profileOption, withExamples } from './command-parts.ts'
import type { GatewayOpenOptions } from './commands/gateway-open.ts'
import type { Context } from './context.ts'
import { addSessionCommands } from './session-commands.ts'

const INTRODUCTION = `Opens local gateways to databases and other services behind an access server, on short-lived certificates.

Sign in, open a gateway, point psql (or anything else) at it:
  postern login db.example --user alice
  postern resources ls
  postern gateway open orders
  psql "$URL"                        (the URL that it printed)`

function parsePort(text: string): number {
  const port = Number(text)
  if (/^\d{1,5}$/.test(text) && port >= 1 && port <= 65_535) return port
  throw new InvalidArgumentError('A port is a number from 1 to 65535.')
}

/** The whole command line over one context. Parse errors are thrown as CommanderError and write to the context's stderr. */
export function buildProgram(context: Context, version: string): Command {
  const program = new Command('postern')
    .description(INTRODUCTION)
    .version(version)
    .exitOverride()
    .showSuggestionAfterError()
    .configureHelp({ showGlobalOptions: false })
    .configureOutput({
      writeOut: (text) => context.terminal.stdout.write(text),
      writeErr: (text) => context.terminal.stderr.write(text),
      // main.ts says it, as text or as JSON.
      outputError: () => undefined,
    })
    .addHelpText('after', `\nThe access server itself: postern server init|start --help\n\n${EXIT_CODES}`)

  addLoginCommands(program, context)
  addGatewayCommands(program, context)
  addSessionCommands(program, context)
  addServerCommands(program, context)
  addAppCommands(program, context)
  addLaterCommands(program)
  return program
}

function addLoginCommands(program: Command, context: Context): void {
  withExamples(
    program
      .command('login')
      .argument('[address]', 'HOST or HOST:PORT of the access server (default port 3443); not needed once it is known')
      .description('Signs in to an access server, and makes it known the first time.')
      .addOption(new Option('--user <name>', 'who signs in; remembered'))
      .addOption(new Option('--password-stdin', 'read the password from stdin instead of asking'))
      .addOption(new Option('--totp <code>', 'code of the authenticator, where the account has one'))
      .addOption(new Option('--ca <file>', "trust the server's CA in this PEM file").conflicts('caPin'))
      .addOption(new Option('--ca-pin <fingerprint>', "trust the server's CA with this fingerprint (sha256:HEX)"))
      .addOption(
        new Option('--setup-code <code>', 'make the first administrator, with the code of "postern server init"'),
      )
      .addOption(new Option('--ttl <duration>', 'ask for a shorter login than the server grants, such as 30m or 8h'))
      .addOption(
        new Option('--sso', 'single sign-on: prints a link and waits for the browser').conflicts([
          'user',
          'passwordStdin',
          'totp',
          'setupCode',
        ]),
      )
      .addOption(profileOption())
      .addOption(jsonOption()),
    'postern login db.example --user alice',
    'postern login db.example:3443 --user alice --ca-pin sha256:3f… --password-stdin < password-file',
    'postern login db.example --sso         in the browser, at your identity provider',
    'postern login                          signs in again where you were',
  ).action(async (address: string | undefined, options: object) =>
    (await import('./commands/login.ts')).login(context, address, options),
  )

  withExamples(
    program
      .command('logout')
      .description('Ends the login, here and at the server; its gateways close.')
      .addOption(new Option('--everywhere', 'end all your logins at that server'))
      .addOption(profileOption())
      .addOption(jsonOption()),
    'postern logout --everywhere',
  ).action(async (options: object) => (await import('./commands/login.ts')).logout(context, options))

  withExamples(
    program
      .command('status')
      .description('Shows who is signed in where and for how long, and which gateways are open.')
      .addOption(jsonOption()),
    'postern status --json',
  ).action(async (options: object) => (await import('./commands/listings.ts')).status(context, options))

  const account = program.command('account').description('What you can change about yourself.')
  withExamples(
    account
      .command('totp')
      .description('Enrols an authenticator: shows a QR code and asks for a code of it.')
      .addOption(profileOption()),
    'postern account totp',
  ).action(async (options: object) => (await import('./commands/account.ts')).enrolTotp(context, options))
  withExamples(
    account
      .command('password')
      .description('Changes your password.')
      .addOption(new Option('--password-stdin', 'read two lines from stdin: the current password and the new one'))
      .addOption(profileOption()),
    'postern account password',
  ).action(async (options: object) => (await import('./commands/account.ts')).changePassword(context, options))
}

function addGatewayCommands(program: Command, context: Context): void {
  const resources = program.command('resources').description('What you may reach.')
  withExamples(
    resources
      .command('ls')
      .description('Lists the resources that your roles allow, with accounts and databases.')
      .addOption(profileOption())
      .addOption(jsonOption()),
    'postern resources ls',
  ).action(async (options: object) => (await import('./commands/listings.ts')).listResources(context, options))

  const gateway = program.command('gateway').description('Local gateways: 127.0.0.1 ports that lead to a resource.')
  withExamples(
    gateway
      .command('open')
      .argument('<resource>', 'name of the resource, as in "resources ls"')
      .description('Opens a gateway and keeps it open until Ctrl-C; asks for a login when one is needed.')
      .addOption(new Option('--account <name>', 'database user (default: the first one allowed)'))
      .addOption(new Option('--database <name>', 'database in the printed URL; tcp resources have none'))
      .addOption(new Option('--port <number>', 'local port; chosen once and kept if not given').argParser(parsePort))
      .addOption(
        new Option('--socket <path>', 'a Unix socket (0600) beside the port: a directory, as psql -h wants it'),
      )
      .addOption(new Option('--password', 'clients have to give a password, which Postern makes and the URL carries'))
      .addOption(new Option('--no-password', 'they need none (default: as the setting gatewayPassword says)'))
      .addOption(new Option('--detach', 'leave it open in the background; it comes back after a restart'))
      .addOption(profileOption())
      .addOption(
        new Option(
          '--json',
          'one line {id,host,port,url,env,socket?} when it listens, then a line with an "event" key per event',
        ),
      ),
    'postern gateway open orders --account reader',
    'postern gateway open orders --json --detach',
    'postern gateway open orders --socket ~/.postern-sockets',
    'postern gateway open build-cache              plain TCP; then for example: nc 127.0.0.1 PORT',
  ).action(async (resource: string, options: GatewayOpenOptions) => {
    await (await import('./commands/gateway-open.ts')).openGateway(context, resource, options)
  })
  withExamples(
    gateway.command('ls').description('Lists the gateways and their states.').addOption(jsonOption()),
    'postern gateway ls',
  ).action(async (options: object) => (await import('./commands/listings.ts')).listGateways(context, options))
  withExamples(
    gateway
      .command('close')
      .argument('<gateway>', 'id, or name of the resource where that is unambiguous')
      .description('Closes a gateway and ends its connections at once; its port stays reserved.')
      .addOption(jsonOption()),
    'postern gateway close orders',
  ).action(async (id: string, options: object) =>
    (await import('./commands/listings.ts')).closeGateway(context, id, options),
  )

  const db = program.command('db').description('One statement on a database, for machines without psql.')
  withExamples(
    db
      .command('query')
      .argument('<resource>', 'name of the resource')
      .argument('<statement>', 'one SQL statement (several are refused by the database, SQLSTATE 42601)')
      .description('Runs one statement through a gateway and prints its rows.')
      .addOption(new Option('--account <name>', 'database user (default: the first one allowed)'))
      .addOption(new Option('--database <name>', "database (default: the resource's)"))
      .addOption(profileOption())
      .addOption(new Option('--json', 'one line {command,rowCount,columns,rows}; rows are objects')),
    'postern db query orders "select count(*) from customers"',
  ).action(async (resource: string, statement: string, options: object) =>
    (await import('./commands/db-query.ts')).queryDatabase(context, resource, statement, options),
  )
}

function addServerCommands(program: Command, context: Context): void {
  addAuditCommands(program, context)
  addAdminCommands(program, context)

  const core = program.command('core').description('The background process that owns your gateways.')
  withExamples(
    core.command('stop').description('Stops it; all gateways close, detached ones come back with its next start.'),
    'postern core stop',
  ).action(async () => (await import('./commands/listings.ts')).stopCore(context))
}

function addAppCommands(program: Command, context: Context): void {
  const app = withExamples(
    program
      .command('app')
      .description('Opens the app: in its own window, else in a browser, else prints the address to open.')
      .addOption(jsonOption()),
    'postern app',
  ).action(async (options: object) => (await import('./commands/app.ts')).openTheApp(context, options))
  withExamples(
    app
      .command('url')
      .description('Prints a fresh address that opens the app once, for a browser here or behind an ssh tunnel.')
      .addOption(jsonOption()),
    'postern app url',
  ).action(async (_options: object, command: Command) =>
    (await import('./commands/app.ts')).printAppUrl(context, command.optsWithGlobals()),
  )
}

/** Commands of the design that are still to come: named in the help, so that nobody searches for them. */
function addLaterCommands(program: Command): void {
  const later = [
    ['ssh', 'A shell or a command on a server (not there yet).'],
    ['kube', 'Kubernetes clusters (not there yet).'],
  ] as const
  for (const [name, description] of later)
    program
      .command(name)
      .description(description)
      .allowUnknownOption()
      .allowExcessArguments()
      .action(() => {
        throw notThereYet(`postern ${name}`)
      })
}
