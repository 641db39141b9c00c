// `postern admin apply FILE`: people, roles, resources and grants declared in YAML documents; all are applied or none.
// Mistakes are found here already, naming file, document and key.
import { readFile } from 'node:fs/promises'
import { LineCounter, parseAllDocuments } from 'yaml'
import type { z } from 'zod'
import { AdminDocument, ApplyResponse } from '../../shared/admin-api.ts'
import { PosternError } from '../../shared/errors.ts'
import { RESOURCE_PROTOCOLS } from '../../shared/names.ts'
import { callApi } from '../call-api.ts'
import type { Context, Core } from '../context.ts'
import { readLines } from '../read-stdin.ts'
import { formatTable } from '../table.ts'
import { withCore } from '../with-core.ts'

export type AdminOptions = { profile?: string; json?: boolean }

/** Reads the file (`-` is stdin), checks it, applies it. */
export async function applyFile(context: Context, file: string, options: AdminOptions): Promise<void> {
  const text = file === '-' ? (await readLines(context.terminal.stdin)).join('\n') : await readText(file)
  const documents = parseDocuments(file === '-' ? 'stdin' : file, text)
  await withCore(context, (core) => applyDocuments(context, core, documents, options))
}

/** Applies documents and says what changed. */
export async function applyDocuments(
  context: Context,
  core: Core,
  documents: z.input<typeof AdminDocument>[],
  options: AdminOptions,
): Promise<void> {
  const { applied } = await callApi(core, ApplyResponse, {
    profile: options.profile,
    method: 'POST',
    path: '/v1/admin/apply',
    body: { documents },
  })
  if (options.json) {
    context.terminal.stdout.write(`${JSON.stringify({ applied })}\n`)
    return
  }
  const columns = [{ title: 'KIND' }, { title: 'NAME' }, { title: 'CHANGE' }]
  context.terminal.stdout.write(
    formatTable(
      columns,
      applied.map(({ kind, name, change }) => [kind, name, change]),
    ),
  )
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new PosternError('bad_request', `${file} cannot be read; give a YAML file, or - for stdin.`, { cause })
  }
}

/**
 * The documents of a YAML text.
 * @throws PosternError `bad_request` naming the file, the document (from 1, with its line) and the key of each mistake
 */
export function parseDocuments(name: string, text: string): AdminDocument[] {
  const lineCounter = new LineCounter()
  const parsed = parseAllDocuments(text, { lineCounter })
  const documents = Array.isArray(parsed) ? parsed : []
  const mistakes: string[] = []
  const good: AdminDocument[] = []
  for (const [index, document] of documents.entries()) {
    const line = lineCounter.linePos(document.range[0]).line
    const where = `${name}, document ${index + 1} (line ${line})`
    const [syntaxError] = document.errors
    if (syntaxError !== undefined) {
      mistakes.push(`${where}: not YAML: ${syntaxError.message.split('\n')[0] ?? ''}`)
      continue
    }
    const value: unknown = document.toJS()
    // A separator too many makes an empty document, which says nothing.
    if (value === null) continue
    const checked = AdminDocument.safeParse(value)
    if (checked.success) good.push(checked.data)
    else mistakes.push(...checked.error.issues.map((issue) => `${where}: ${describeIssue(issue)}`))
  }
  if (mistakes.length > 0) throw new PosternError('bad_request', mistakes.join('\n'))
  if (good.length === 0) throw new PosternError('bad_request', `${name} has no document: nothing to apply.`)
  return good
}

/** `accounts.0.password: …`; an unknown key is named itself. */
function describeIssue(issue: z.core.$ZodIssue): string {
  const place = issue.path.map(String).join('.')
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.keys.map((key) => (place === '' ? key : `${place}.${key}`))
    return `${keys.join(', ')}: there is no such key`
  }
  if (issue.code === 'invalid_union' && (place === 'kind' || place === ''))
    return 'kind: must be one of resource, role, user, grant'
  if (issue.code === 'invalid_union' && place === 'protocol')
    return `protocol: must be one of ${RESOURCE_PROTOCOLS.join(', ')}`
  return `${place === '' ? 'the document' : place}: ${issue.message}`
}
