// The commands of `postern sessions`: descriptions, flags, examples. Each command's work is loaded when it runs. Used by program.ts.
import { type Command, InvalidArgumentError, Option } from 'commander'
import { jsonOption, profileOption, withExamples } from './command-parts.ts'
import type { Context } from './context.ts'

const COUNT_MAX = 10_000

function parseCount(text: string): number {
  const count = Number(text)
  if (/^\d{1,5}$/.test(text) && count >= 1 && count <= COUNT_MAX) return count
  throw new InvalidArgumentError(`A number from 1 to ${COUNT_MAX}.`)
}

const filterOptions = (command: Command): Command =>
  command
    .addOption(new Option('--all', "everyone's, not only your own (permission level viewer)"))
    .addOption(new Option('--user <name>', "only this person's; implies --all"))
    .addOption(new Option('--resource <name>', 'only of this resource'))

export function addSessionCommands(program: Command, context: Context): void {
  const sessions = program
    .command('sessions')
    .description('Who is connected to what, what they ran, and ending a session.')

  withExamples(
    filterOptions(sessions.command('ls').description('Lists sessions, newest first.'))
      .addOption(new Option('--state <state>', 'which ones').choices(['live', 'ended', 'any']).default('live'))
      .addOption(new Option('--limit <number>', 'as many of them at most').argParser(parseCount).default(100))
      .addOption(profileOption())
      .addOption(jsonOption()),
    'postern sessions ls',
    'postern sessions ls --all --state ended --resource orders',
  ).action(async (options: object) => (await import('./commands/sessions.ts')).listSessions(context, options))

  withExamples(
    filterOptions(
      sessions.command('watch').description('Shows live sessions and keeps what it shows up to date, until Ctrl-C.'),
    )
      .addOption(profileOption())
      .addOption(new Option('--json', 'one line of JSON for each change, with an "event" key')),
    'postern sessions watch --all',
    'postern sessions watch --json',
  ).action(async (options: object) => (await import('./commands/sessions-watch.ts')).watchSessions(context, options))

  withExamples(
    sessions
      .command('show')
      .argument('<id>', 'of the session, or how it begins')
      .description(
        'Shows one session: its facts, why it ended, and what it ran. On a screen statements are cut to a line, in a pipe they are whole.',
      )
      .addOption(new Option('--search <text>', 'only statements with this in their text'))
      .addOption(new Option('--limit <number>', 'the last so many statements').argParser(parseCount).default(100))
      .addOption(profileOption())
      .addOption(jsonOption()),
    'postern sessions show 3f2a',
    'postern sessions show 3f2a --search customers',
  ).action(async (id: string, options: object) =>
    (await import('./commands/sessions.ts')).showSession(context, id, options),
  )

  withExamples(
    sessions
      .command('end')
      .argument('<id>', 'of the session, or how it begins')
      .description(
        "Ends a session: its connections are cut at once, and its clients are told why. Others' sessions need the level admin.",
      )
      .addOption(new Option('--yes', 'without being asked'))
      .addOption(profileOption())
      .addOption(jsonOption()),
    'postern sessions end 3f2a',
    'postern sessions end 3f2a91bc-0b5e-4c1d-9a40-6d3f2b8f7c55 --yes',
  ).action(async (id: string, options: object) =>
    (await import('./commands/sessions.ts')).endSession(context, id, options),
  )
}
