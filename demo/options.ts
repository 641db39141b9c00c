// The flags of `npm start` (design: "Interfaces that outsiders may rely on"). Used by main.ts. Pure.
import { parseArgs } from 'node:util'
import { parseDuration } from '../shared/duration.ts'
import { PosternError } from '../shared/errors.ts'

export type DemoOptions = {
  json: boolean
  help: boolean
  /** Whether the app is opened. */
  app: boolean
  dataDir: string | undefined
  userTtl: string | undefined
  routeTtl: string | undefined
}

export const HELP = `Usage: npm start -- [--json] [--user-ttl 60s] [--route-ttl 20s] [--data DIR] [--no-app]

Starts the demo: an access server, a PostgreSQL with an online shop in it, and people with different roles.

  --json               one line of JSON when it is ready (the only line of stdout that begins with "{")
  --user-ttl DURATION  how long a login lives (default 8h); short ones let you watch an expiry
  --route-ttl DURATION how long the certificate of a gateway lives (default 10m)
  --data DIR           where everything is kept (default: below ~/.local/state/postern, one per clone)
  --no-app             opens no app, and none is built

It stays until Ctrl-C or SIGTERM and then ends everything that it started. Started a second time while it runs, it prints
the same lines again and ends.
`

/** @throws PosternError `bad_request` naming the flag */
export function parseOptions(args: string[]): DemoOptions {
  let values
  try {
    values = parseArgs({
      args,
      options: {
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false, short: 'h' },
        'user-ttl': { type: 'string' },
        'route-ttl': { type: 'string' },
        data: { type: 'string' },
        'no-app': { type: 'boolean', default: false },
      },
    }).values
  } catch (error) {
    const text = error instanceof Error ? error.message : 'unknown flag'
    throw new PosternError('bad_request', `${text}. See: npm start -- --help`, { cause: error })
  }
  for (const flag of ['user-ttl', 'route-ttl'] as const) {
    const text = values[flag]
    if (text !== undefined && parseDuration(text) === undefined)
      throw new PosternError('bad_request', `--${flag} "${text}" is not a duration such as 60s, 10m or 8h`)
  }
  return {
    json: values.json,
    help: values.help,
    app: !values['no-app'],
    dataDir: values.data,
    userTtl: values['user-ttl'],
    routeTtl: values['route-ttl'],
  }
}
