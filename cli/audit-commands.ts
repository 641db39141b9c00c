// `postern audit` and `postern audit export` on the command line: flags, examples, and where their work is. Used by program.ts.
import { type Command, InvalidArgumentError, Option } from 'commander'
import { profileOption, withExamples } from './command-parts.ts'
import type { Context } from './context.ts'

/** As many as the server gives in one answer. */
const LIMIT_MAX = 1000

function parseLimit(text: string): number {
  const limit = Number(text)
  if (/^\d{1,4}$/.test(text) && limit >= 1 && limit <= LIMIT_MAX) return limit
  throw new InvalidArgumentError(`A limit is a number from 1 to ${LIMIT_MAX}.`)
}

const withFilters = (command: Command): Command =>
  command
    .addOption(new Option('--user <name>', 'only this person'))
    .addOption(new Option('--login <id>', 'only this login'))
    .addOption(new Option('--session <id>', 'only this session'))
    .addOption(new Option('--resource <name>', 'only this resource'))
    .addOption(new Option('--account <name>', 'only this account of a resource'))
    .addOption(new Option('--event <name>', 'only this event or family: statement.query, statement'))
    .addOption(new Option('--since <time>', 'only from then on: a time, or a duration such as 1h'))
    .addOption(new Option('--until <time>', 'only before then: a time, or a duration such as 10m'))
    .addOption(profileOption())

export function addAuditCommands(program: Command, context: Context): void {
  const audit = withExamples(
    withFilters(
      program
        .command('audit')
        .description("Shows the server's audit log, oldest first (permission level viewer).")
        .addOption(new Option('--limit <count>', 'only the newest ones, so many').argParser(parseLimit))
        .addOption(
          new Option('--follow', 'go on with what happens next, until Ctrl-C; survives restarts and logins').conflicts(
            'until',
          ),
        )
        .addOption(new Option('--json', 'one line of JSON per event')),
    ),
    'postern audit --since 1h --user alice',
    'postern audit --event login.failed --limit 20',
    'postern audit --follow --json',
  ).action(async (options: object) => (await import('./commands/audit.ts')).showAudit(context, options))

  withExamples(
    withFilters(
      audit
        .command('export')
        .description('Writes events as JSON lines, one page in memory; up to now, or --until.')
        .addOption(new Option('--output <file>', 'into this new file (0600) instead of stdout'))
        .addOption(new Option('--resume', 'go on behind what the file has already')),
    ),
    'postern audit export --since 2026-11-01 --until 2026-12-01 --output november.jsonl',
    'postern audit export --event login | gzip > logins.jsonl.gz',
  ).action(async (_options: object, command: Command) =>
    (await import('./commands/audit-export.ts')).exportAudit(context, command.optsWithGlobals()),
  )
}
