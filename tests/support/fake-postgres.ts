// A tiny PostgreSQL behind the fake access server: lets everybody in and answers simple queries (enough for psql), or echoes bytes.
import type { Duplex } from 'node:stream'
import { readBytes } from '../../link/read-bytes.ts'
import {
  encodeAuthenticationOk,
  encodeBackendKeyData,
  encodeMessage,
  encodeParameterStatus,
  encodeReadyForQuery,
} from '../../shared/wire/postgres/backend-messages.ts'
import { parseStartupMessage } from '../../shared/wire/postgres/startup.ts'

/** The parameters of the startup message, which a client sends first. */
export async function readStartup(stream: Duplex, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
  const length = await readBytes(stream, 4, signal)
  const rest = await readBytes(stream, length.readUInt32BE() - 4, signal)
  return parseStartupMessage(Buffer.concat([length, rest])).parameters
}

/** What comes after the startup message, to the end. */
export async function speakPostgres(socket: Duplex, isEcho: boolean, never: AbortSignal): Promise<void> {
  socket.write(
    Buffer.concat([
      encodeAuthenticationOk(),
      encodeParameterStatus('server_version', '15.0'),
      encodeParameterStatus('client_encoding', 'UTF8'),
      encodeBackendKeyData({ processId: 1, secret: 2 }),
      encodeReadyForQuery(),
    ]),
  )
  if (isEcho) {
    socket.pipe(socket)
    return
  }
  for (;;) {
    const header = await readBytes(socket, 5, never)
    const size = header.readUInt32BE(1) - 4
    const body = size > 0 ? await readBytes(socket, size, never) : Buffer.alloc(0)
    const type = String.fromCharCode(header[0] ?? 0)
    if (type === 'X') {
      socket.end()
      return
    }
    if (type === 'Q') socket.write(oneRow(`you said: ${body.subarray(0, -1).toString()}`))
  }
}

/** The answer to a simple query: one text column, one row. */
function oneRow(text: string): Buffer {
  const column = Buffer.concat([Buffer.from('answer\0'), Buffer.alloc(6), Buffer.from([0, 0, 0, 25, 0xff, 0xff])])
  const description = Buffer.concat([Buffer.from([0, 1]), column, Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0])])
  const value = Buffer.from(text)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(value.length)
  return Buffer.concat([
    encodeMessage('T', description),
    encodeMessage('D', Buffer.concat([Buffer.from([0, 1]), length, value])),
    encodeMessage('C', Buffer.from('SELECT 1\0')),
    encodeReadyForQuery(),
  ])
}
