// `postern audit export`: the audit log as JSON lines, page by page, to a file or to stdout. However long the log is, one page is in
// memory; an export that was broken off goes on where it stopped (--resume).
import { open, type FileHandle } from 'node:fs/promises'
import { AuditEvent } from '../../shared/audit-api.ts'
import { PosternError } from '../../shared/errors.ts'
import type { Context } from '../context.ts'
import { withCore } from '../with-core.ts'
import { filterParams, readPage, type AuditFilter } from './audit-query.ts'

export type ExportOptions = AuditFilter & { output?: string; resume?: boolean }

const PAGE_SIZE = 1000
/** Longest line that an event can be, in bytes: a statement is cut at 64 KiB. The last one of a file lies within it. */
const TAIL_BYTES = 1024 * 1024

/** How the line of an event begins. */
const FIRST_OF_LINE = '{"seq":'

/** Where the lines go. `after`: the seq of what is there already. */
type Sink = { after: number; write(lines: string): Promise<void>; close(): Promise<void> }

/**
 * Exports all matching events up to this moment (or `until`), oldest first.
 * @throws PosternError `conflict` if the file exists (without --resume), `bad_request` if it is no such export
 */
export async function exportAudit(context: Context, options: ExportOptions): Promise<void> {
  if (options.resume && options.output === undefined)
    throw new PosternError('bad_request', '--resume goes on with a file: name it with --output.')
  const now = context.now()
  // Without an end a busy server would be exported for ever.
  const filter = filterParams({ ...options, until: options.until ?? now.toISOString() }, now)
  const sink = options.output === undefined ? toStdout(context) : await toFile(options.output, options.resume ?? false)
  let count = 0
  let { after } = sink
  try {
    await withCore(context, async (core) => {
      for (let more = true; more;) {
        const page = await readPage(core, filter, { profile: options.profile, after, limit: PAGE_SIZE })
        await sink.write(page.events.map((event) => `${JSON.stringify(event)}\n`).join(''))
        count += page.events.length
        after = page.upTo
        more = page.more
      }
    })
  } catch (error) {
    if (options.output === undefined || !(error instanceof PosternError)) throw error
    const text = `${error.message.replace(/\.$/, '')}. ${count} events are in ${options.output}; the same command with --resume goes on behind them.`
    throw new PosternError(error.code, text, { cause: error, errorId: error.errorId })
  } finally {
    await sink.close()
  }
  const where = options.output === undefined ? '' : ` to ${options.output}`
  context.terminal.stderr.write(`postern: ${count} events exported${where}\n`)
}

function toStdout({ terminal, interrupt }: Context): Sink {
  const { stdout } = terminal
  return {
    after: 0,
    write: (lines) => (lines === '' ? Promise.resolve() : written(stdout, lines, interrupt)),
    close: () => Promise.resolve(),
  }
}

/** Resolves when the text has left: a slow reader of the pipe holds the export up, not the memory. */
const written = (stdout: Context['terminal']['stdout'], text: string, interrupt: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const settle = () => {
      interrupt.removeEventListener('abort', settle)
      resolve()
    }
    interrupt.addEventListener('abort', settle, { once: true })
    stdout.write(text, settle)
  })

async function toFile(file: string, resume: boolean): Promise<Sink> {
  const handle = await openExport(file, resume)
  try {
    const after = resume ? await lastSeqOf(handle, file) : 0
    return {
      after,
      write: async (lines) => {
        if (lines !== '') await handle.appendFile(lines)
      },
      close: async () => {
        try {
          await handle.sync()
        } finally {
          await handle.close()
        }
      },
    }
  } catch (error) {
    await handle.close()
    throw error
  }
}

async function openExport(file: string, resume: boolean): Promise<FileHandle> {
  try {
    // 0600: statements may hold what is in the databases.
    return await open(file, resume ? 'a+' : 'ax+', 0o600)
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    if (code === 'EEXIST')
      throw new PosternError('conflict', `${file} is there already: go on with it (--resume), or name another one.`, {
        cause,
      })
    throw new PosternError('bad_request', `${file} cannot be written: ${String(code)}.`, { cause })
  }
}

/** The seq of the last whole line; half a line behind it, which a broken-off export left, is cut off. */
async function lastSeqOf(handle: FileHandle, file: string): Promise<number> {
  const { size } = await handle.stat()
  if (size === 0) return 0
  const start = Math.max(0, size - TAIL_BYTES)
  const tail = Buffer.alloc(size - start)
  await handle.read(tail, 0, tail.length, start)
  const end = tail.lastIndexOf(0x0a) + 1
  // Looked at before anything is cut off: this may be any file.
  const rest = tail.subarray(end).toString()
  if (!FIRST_OF_LINE.startsWith(rest.slice(0, FIRST_OF_LINE.length))) throw notAnExport(file)
  const line = tail.subarray(tail.lastIndexOf(0x0a, end - 2) + 1, end).toString()
  const seq = end === 0 && start === 0 ? 0 : parseSeq(line)
  if (seq === undefined) throw notAnExport(file)
  await handle.truncate(start + end)
  return seq
}

function parseSeq(line: string): number | undefined {
  try {
    const parsed = AuditEvent.safeParse(JSON.parse(line))
    return parsed.success ? parsed.data.seq : undefined
  } catch {
    return undefined
  }
}

const notAnExport = (file: string): PosternError =>
  new PosternError('bad_request', `${file} does not end with an event of an audit log, so nothing can go on behind it.`)
