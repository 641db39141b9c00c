// How people write a server's address and how we keep it: HOST:PORT, port 3443 where none is given. Used by login. Pure.
import { PosternError } from '../shared/errors.ts'
import { DEFAULT_SERVER_PORT } from '../shared/names.ts'

/**
 * `db.example`, `db.example:443`, `[::1]`, `https://db.example/` → HOST:PORT.
 * @throws PosternError `bad_request` for anything else
 */
export function parseServerAddress(text: string): string {
  const plain = text.replace(/^https:\/\//, '').replace(/\/$/, '')
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:/\s[\]]+)(?::(\d{1,5}))?$/.exec(plain)
  const port = match?.[2] === undefined ? DEFAULT_SERVER_PORT : Number(match[2])
  if (match?.[1] === undefined || port < 1 || port > 65_535)
    throw new PosternError(
      'bad_request',
      `"${text}" is no server address: write HOST or HOST:PORT, such as db.example:3443.`,
    )
  return `${match[1].toLowerCase()}:${port}`
}
