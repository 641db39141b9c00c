// The command line of `postern admin …`: flags and help only; the work is in commands/admin-*.ts. Used by program.ts.
import { type Command, Option } from 'commander'
import { RESOURCE_PROTOCOLS } from '../shared/names.ts'
import type { Context } from './context.ts'
import type { Change } from './commands/admin-lists.ts'
import { collect, jsonOption, notThereYet, profileOption, withExamples } from './command-parts.ts'
import { withLimitFlags } from './limit-flags.ts'

const passwordStdin = (text: string) => new Option('--password-stdin', text)
const CHANGES: readonly Change[] = ['add', 'set']

const verbOf = (change: Change, what: string): string =>
  change === 'add' ? `Makes a ${what}.` : `Changes a ${what}; what no flag names stays as it is.`

export function addAdminCommands(program: Command, context: Context): void {
  const admin = program.command('admin').description('People, roles, resources and grants of the access server.')
  withExamples(
    admin
      .command('apply')
      .argument('<file>', 'YAML documents, each with a "kind"; - is stdin')
      .description('Applies people, roles, resources and grants declared in a file: all of them or none.')
      .addOption(profileOption())
      .addOption(jsonOption()),
    'postern admin apply shop.yaml',
  ).action(async (file: string, options: object) =>
    (await import('./commands/admin-documents.ts')).applyFile(context, file, options),
  )
  addUserCommands(admin.command('user').description('People.'), context)
  addRoleCommands(admin.command('role').description('Roles: what may be reached as whom.'), context)
  addResourceCommands(
    admin.command('resource').description('Resources: databases, and anything else behind a HOST:PORT.'),
    context,
  )
  addGrantCommands(admin.command('grant').description('Grants: who has which role until when.'), context)
  addCaCommands(admin.command('ca').description('The CAs of the cluster and their rotation.'), context)
  admin
    .command('token')
    .description('Not there yet.')
    .allowUnknownOption()
    .allowExcessArguments()
    .action(() => {
      throw notThereYet('postern admin token')
    })
}

function addCaCommands(ca: Command, context: Context): void {
  withExamples(
    ca
      .command('status')
      .description('Which CAs there are, what each does, and what still rests on the old ones.')
      .addOption(profileOption())
      .addOption(jsonOption()),
    'postern admin ca status',
  ).action(async (options: object) => (await import('./commands/admin-ca.ts')).showCas(context, options))
  withExamples(
    ca
      .command('rotate')
      .description('Makes new CAs. They sign from now on; the old ones stay trusted until "finish". Interrupts nobody.')
      .addOption(profileOption())
      .addOption(jsonOption()),
    'postern admin ca rotate',
  ).action(async (options: object) => (await import('./commands/admin-ca.ts')).rotateCas(context, options))
  withExamples(
    ca
      .command('finish')
      .description('Drops the old CAs. Refused while logins or gateways rest on them; "status" counts those.')
      .addOption(
        new Option('--force', 'drop them now: such logins end with their sessions (for a key that somebody else has)'),
      )
      .addOption(profileOption())
      .addOption(jsonOption()),
    'postern admin ca finish',
  ).action(async (options: object) => (await import('./commands/admin-ca.ts')).finishRotation(context, options))
}

function addUserCommands(user: Command, context: Context): void {
  for (const change of CHANGES) {
    const command = user
      .command(change)
      .argument('<name>')
      .description(verbOf(change, 'person'))
      .addOption(new Option('--email <address>', 'e-mail address'))
      .addOption(
        new Option('--level <level>', "permission level of the server's own API").choices([
          'none',
          'viewer',
          'editor',
          'admin',
        ]),
      )
      .addOption(passwordStdin('read the password from stdin instead of asking'))
      .addOption(new Option('--disable', 'end their logins and refuse new ones'))
      .addOption(new Option('--enable', 'let them sign in again').conflicts('disable'))
      .addOption(profileOption())
      .addOption(jsonOption())
    if (change === 'set')
      command
        .addOption(new Option('--password', 'ask for a new password'))
        .addOption(new Option('--remove-totp', 'take away their authenticator'))
    withExamples(command, `postern admin user ${change} alice --email alice@shop.example --level viewer`).action(
      async (name: string, options: object) =>
        (await import('./commands/admin-people.ts')).changeUser(context, change, name, options),
    )
  }
  addListAndRemove(user, context, 'users', 'people', 'alice')
}

function addRoleCommands(role: Command, context: Context): void {
  for (const change of CHANGES) {
    const command = role
      .command(change)
      .argument('<name>')
      .description(`${verbOf(change, 'role')} The flags make one rule; "admin apply" takes any number.`)
      .addOption(new Option('--description <text>', 'for people'))
      .addOption(new Option('--resource <name>', 'resource of the rule, * for any; again for more').argParser(collect))
      .addOption(new Option('--label <key=value>', 'or resources with this label; again for more').argParser(collect))
      .addOption(new Option('--account <name>', 'account of the rule, * for any; again for more').argParser(collect))
      .addOption(new Option('--database <name>', 'database of the rule (default: any)').argParser(collect))
    withLimitFlags(command).addOption(profileOption()).addOption(jsonOption())
    if (change === 'set')
      command.addOption(new Option('--append', "add the rule instead of replacing the role's rules"))
    withExamples(
      command,
      `postern admin role ${change} orders-reader --resource orders --account reader`,
      `postern admin role ${change} orders-reader --session-max 8h --idle 30m --sessions 5 --connections 20`,
    ).action(async (name: string, options: object) =>
      (await import('./commands/admin-role.ts')).changeRole(context, change, name, options),
    )
  }
  addListAndRemove(role, context, 'roles', 'roles', 'orders-reader')
}

function addResourceCommands(resource: Command, context: Context): void {
  for (const change of CHANGES)
    withExamples(
      resource
        .command(change)
        .argument('<name>')
        .description(`${verbOf(change, 'resource')} Asks for the password of each --account.`)
        .addOption(
          new Option('--protocol <protocol>', 'what it speaks; tcp is anything else (default: postgres)').choices([
            ...RESOURCE_PROTOCOLS,
          ]),
        )
        .addOption(new Option('--address <host:port>', 'where the access server reaches it'))
        .addOption(new Option('--description <text>', 'for people'))
        .addOption(new Option('--label <key=value>', 'label that roles match; again for more').argParser(collect))
        .addOption(
          new Option('--tls <mode>', 'TLS to it (default: verify-full)').choices([
            'disable',
            'require',
            'verify-ca',
            'verify-full',
          ]),
        )
        .addOption(new Option('--tls-ca <file>', 'PEM of the CA that signed its certificate'))
        .addOption(new Option('--tls-name <name>', 'name to verify instead of the address'))
        .addOption(new Option('--default-database <name>', 'database where people name none'))
        .addOption(
          new Option('--account <name>', 'database user, the first is the default; again for more').argParser(collect),
        )
        .addOption(passwordStdin('read the passwords from stdin, one a line, in the order of --account'))
        .addOption(profileOption())
        .addOption(jsonOption()),
      `postern admin resource ${change} orders --address db1.internal:5432 --account reader --label env=prod`,
      `postern admin resource ${change} build-cache --protocol tcp --address cache1.internal:6400 --label env=dev`,
    ).action(async (name: string, options: object) =>
      (await import('./commands/admin-resource.ts')).changeResource(context, change, name, options),
    )
  addListAndRemove(resource, context, 'resources', 'resources', 'orders')
}

function addGrantCommands(grant: Command, context: Context): void {
  withExamples(
    grant
      .command('add')
      .alias('set')
      .argument('<user>')
      .argument('<role>')
      .description('Gives a person a role, or changes until when they have it.')
      .addOption(new Option('--until <time>', 'a time, or a duration from now such as 8h (default: always)'))
      .addOption(profileOption())
      .addOption(jsonOption()),
    'postern admin grant add alice orders-reader --until 8h',
  ).action(async (user: string, role: string, options: object) =>
    (await import('./commands/admin-people.ts')).addGrant(context, user, role, options),
  )
  withExamples(
    grant
      .command('rm')
      .argument('<user>')
      .argument('<role>')
      .description('Takes a role from a person; their sessions that needed it end at once.')
      .addOption(profileOption())
      .addOption(jsonOption()),
    'postern admin grant rm alice orders-reader',
  ).action(async (user: string, role: string, options: object) =>
    (await import('./commands/admin-lists.ts')).removeOne(context, 'grants', `${user}/${role}`, options),
  )
  addList(grant, context, 'grants', 'grants')
}

type Kind = 'users' | 'roles' | 'resources' | 'grants'

function addListAndRemove(parent: Command, context: Context, kind: Kind, plural: string, example: string): void {
  addList(parent, context, kind, plural)
  withExamples(
    parent
      .command('rm')
      .argument('<name>')
      .description('Removes one; sessions that needed it end at once.')
      .addOption(profileOption())
      .addOption(jsonOption()),
    `postern admin ${parent.name()} rm ${example}`,
  ).action(async (name: string, options: object) =>
    (await import('./commands/admin-lists.ts')).removeOne(context, kind, name, options),
  )
}

function addList(parent: Command, context: Context, kind: Kind, plural: string): void {
  withExamples(
    parent.command('ls').description(`Lists the ${plural}.`).addOption(profileOption()).addOption(jsonOption()),
    `postern admin ${parent.name()} ls`,
  ).action(async (options: object) => {
    const admin = await import('./commands/admin-lists.ts')
    const listOf = {
      users: admin.listUsers,
      roles: admin.listRoles,
      resources: admin.listAllResources,
      grants: admin.listGrants,
    }
    await listOf[kind](context, options)
  })
}
