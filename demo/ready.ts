// What a ready demo says: one JSON line for machines, or what to do next for people. Used by main.ts, also when the demo
// runs already.
import path from 'node:path'
import { z } from 'zod'
import { PEOPLE } from './people-and-roles.ts'

/** The ready line, word for word what the design promises. */
export const Ready = z.object({
  appUrl: z.string().nullable(),
  home: z.string(),
  cluster: z.object({ name: z.string(), address: z.string(), caFile: z.string(), fingerprint: z.string() }),
  users: z.array(z.object({ name: z.string(), password: z.string(), totpSecret: z.string().optional() })),
  resources: z.array(
    z.object({
      name: z.string(),
      protocol: z.string(),
      accounts: z.array(z.string()),
      defaultAccount: z.string(),
      databases: z.array(z.string()),
    }),
  ),
})
export type Ready = z.infer<typeof Ready>

/** Beside the ready line, for a second start. */
export const ReadyFile = z.object({ pid: z.number().int(), dataDir: z.string(), postgresDir: z.string(), ready: Ready })
export type ReadyFile = z.infer<typeof ReadyFile>

export const formatReadyLine = (ready: Ready): string => `${JSON.stringify(ready)}\n`

/** What to do next: short, aligned, to be copied. */
export function formatReadyText(
  { dataDir, postgresDir, ready }: ReadyFile,
  appText: string,
  checkout: string,
  cwd: string,
): string {
  const launcher = path.relative(cwd, path.join(checkout, 'bin', 'postern')) || 'bin/postern'
  const { address, fingerprint } = ready.cluster
  const outside = postgresDir.startsWith(dataDir)
    ? ''
    : `\n  PostgreSQL's    ${postgresDir} (its user cannot enter the data directory)`
  const people = ready.users.map(({ name, password, totpSecret }) => {
    const about = Object.entries(PEOPLE).find(([person]) => person === name)?.[1] ?? ''
    const totp = totpSecret === undefined ? '' : `\n${' '.repeat(27)}TOTP seed ${totpSecret}`
    return `  ${name.padEnd(7)}${password.padEnd(18)}${about}${totp}`
  })
  return `
Postern's demo is ready.

  Cluster         ${ready.cluster.name} at ${address}
  CA fingerprint  ${fingerprint}
  Data            ${dataDir}${outside}

People and their passwords:
${people.join('\n')}

${appText.replace('postern app', `POSTERN_HOME=${quote(ready.home)} ${launcher} app`)}

Or in another terminal:
  export POSTERN_HOME=${quote(ready.home)}
  ${launcher} login ${address} --user alice
  ${launcher} resources ls
  ${launcher} gateway open orders          prints a URL and stays; then, in a third terminal:
  psql "URL" -c "select status, count(*), sum(total) from orders group by status"
  ${launcher} db query orders "select name, city from customers limit 5"      needs no psql
  ${launcher} gateway open greeter         plain TCP; in another terminal: nc 127.0.0.1 PORT

To watch a login expire while psql waits for you: end this with Ctrl-C, start it again with
  npm start -- --user-ttl 60s --route-ttl 20s
then sign in, open a gateway, wait a minute and run psql: the app (or the terminal with the gateway) asks
for the password, and psql goes on. Cancel with Ctrl-C at that prompt instead, and psql says why.

Ctrl-C here ends everything that was started.
`
}

const quote = (text: string): string => (/^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`)
