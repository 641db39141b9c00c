// What the definitions of commands share: options that mean the same everywhere, examples with exit codes below the help,
// and the plain word for what is still to come. Used by program.ts and admin-commands.ts.
import { type Command, Option } from 'commander'
import { PosternError } from '../shared/errors.ts'

export const EXIT_CODES = 'Exit codes: 0 done, 1 failed, 2 usage, 3 needs login, 4 refused.'

/** Examples below a command's help, and the exit codes. */
export const withExamples = (command: Command, ...examples: string[]): Command =>
  command.addHelpText(
    'after',
    `\n${examples.length === 1 ? 'Example' : 'Examples'}:\n${examples.map((example) => `  ${example}`).join('\n')}\n\n${EXIT_CODES}`,
  )

export const jsonOption = (): Option => new Option('--json', 'one line of JSON instead of text')
export const profileOption = (): Option =>
  new Option('--profile <name>', 'the cluster that is meant, where several are known')

/** A flag that may be given several times. */
export const collect = (value: string, earlier: string[] | undefined): string[] => [...(earlier ?? []), value]

/** Says plainly that something is still to come; exit code 1. */
export const notThereYet = (what: string): PosternError =>
  new PosternError('internal', `"${what}" is not there yet in this version of Postern.`)
