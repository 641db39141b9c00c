// Reads answers that are piped in (--password-stdin): lines, one after the other. Used where no terminal asks.
import type { Readable } from 'node:stream'
import { PosternError } from '../shared/errors.ts'

/** More than this on stdin is not a password, in bytes. */
const MAX_BYTES = 64 * 1024

/**
 * The lines of stdin until its end, without line ends.
 * @throws PosternError `bad_request` if there is far too much
 */
export async function readLines(stdin: Readable): Promise<string[]> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stdin as AsyncIterable<Buffer | string>) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    size += bytes.length
    if (size > MAX_BYTES) throw new PosternError('bad_request', 'There is more on stdin than a password.')
    chunks.push(bytes)
  }
  const text = Buffer.concat(chunks).toString('utf8')
  return text.replace(/\r?\n$/, '').split(/\r?\n/)
}

/**
 * The first line of stdin, as a password.
 * @throws PosternError `bad_request` if it is empty
 */
export async function readPassword(stdin: Readable): Promise<string> {
  const [password = ''] = await readLines(stdin)
  if (password === '') throw new PosternError('bad_request', 'There is no password on stdin: pipe it in as one line.')
  return password
}
