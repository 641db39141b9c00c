// docs/audit.md, made from the catalogue of events (shared/audit-events.ts).
import type { z } from 'zod'
import { AUDIT_EVENT_CATALOGUE } from '../../shared/audit-events.ts'

const code = (name: string): string => `\`${name}\``

const rows = Object.entries(AUDIT_EVENT_CATALOGUE).map(([name, { when, always, detail, written }]) => {
  const fields = Object.entries<z.ZodType>(detail.shape).map(([field, schema]) =>
    code(`${field}${schema.safeParse(undefined).success ? '?' : ''}`),
  )
  const cells = [code(name), when, always.map(code).join(', ') || '–', fields.join(', ') || '–', written]
  return `| ${cells.join(' | ')} |`
})

/** The whole page. */
export const documentedAudit = `# Audit log

What people did, in the order in which it happened. Who may read it: permission level viewer and up. This page is made from
\`shared/audit-events.ts\`; a test fails where it differs, another one where a running server writes anything else, and \`vitest -u\`
makes it anew. Names and fields only grow.

Every event has \`seq\` (whole numbers, in order, each once), \`time\` (UTC), \`event\`, \`user\`, \`login\`, \`session\`, \`connection\`,
\`resource\`, \`account\`, \`address\` (HOST:PORT of the client) and \`detail\`; what does not apply is null. *Always* lists the fields
that are never null; others may be there too. A \`?\` marks what may be missing from \`detail\`.

*Written* says what a crash can do to it, and what happens if the store refuses it:

- **before**: in the store before what it tells of happens: nobody has a certificate and no byte of a session moves without it. If it is
  refused, it does not happen, and whoever asked gets an error. Only the end of a session waits no longer than 2 s for who asked for it.
- **transaction**: in the same transaction as what it tells of: both are in the store, or none.
- **after**: right after what it tells of, before whoever asked is answered. The end of a session stands in its own row first, and its
  clients hear of it only then; if a crash comes before the event, the next start adds it.
- **batched**: within 100 ms, in the order in which things happened. A store that fails for a while loses nothing; a crash of the
  process may lose what it had not written.

What was answered outlives a power cut, too: each batch waits for the disk, and so does the answer to every call that changes something.

| event | when | always | detail | written |
| --- | --- | --- | --- | --- |
${rows.join('\n')}

A statement's \`outcomes\` are, one for each statement in it: \`{outcome: "completed", tag, rows?}\`; \`{outcome}\` with \`prepared\`,
\`empty\`, \`suspended\` (more rows to fetch), \`skipped\` (after an earlier error) or \`unknown\` (the connection ended first); or
\`{outcome: "error", code, class, severity}\` with the SQLSTATE, without the text, which may quote data. SQL is cut at 64 KiB
(\`truncated: true\`); literals of statements that set passwords are blotted out. Values that are bound to prepared statements are
not recorded.

## Reading it

\`\`\`
postern audit --since 1h --user alice
postern audit --event login.failed --limit 20
postern audit --resource orders --event statement --since 2026-11-01 --until 2026-11-02 --json
postern audit --follow --json
\`\`\`

\`--event\` takes a name or a family (\`statement\`, \`login\`); what is neither is an error. All filters have to fit. \`--follow\` goes on
through a restart of the server and through a login that runs out (log in again in another terminal), without a gap and without
anything twice.

Over the API it is \`GET /v1/audit\` with the same filters, \`after\` (a seq), \`limit\` and \`waitSeconds\`. An answer may have fewer
events than \`limit\` although there are more, so that it stays small: while \`more\` is true, ask on with its \`upTo\` as \`after\`.

## Keeping it, taking it out

Without a setting everything is kept. \`audit: { retention: 90d }\` deletes what is older, every hour, a few hundred rows at a time, and
writes \`audit.pruned\`. Take out first what has to be kept longer:

\`\`\`
postern audit export --since 2026-11-01 --until 2026-12-01 --output november.jsonl
\`\`\`

One event a line, as \`--json\` shows it, the oldest first; the file is for its owner only (0600). If it is broken off, the same command
with \`--resume\` goes on behind the last whole line. Without \`--output\` it goes to stdout.
`
