// Framing of the preamble (C5): u32 length, big-endian, then that many bytes of JSON, at most 16 KiB.
import type { Duplex } from 'node:stream'
import { PosternError } from '../shared/errors.ts'
import { Preamble, PREAMBLE_MAX_BYTES } from '../shared/preamble.ts'
import { readBytes, StreamEndedError } from './read-bytes.ts'

/** The bytes of a preamble. */
export function encodePreamble(preamble: Preamble): Buffer {
  const json = Buffer.from(JSON.stringify(preamble))
  if (json.length > PREAMBLE_MAX_BYTES) throw new RangeError(`a preamble of ${json.length} bytes is too long`)
  const frame = Buffer.alloc(4 + json.length)
  frame.writeUInt32BE(json.length)
  json.copy(frame, 4)
  return frame
}

/**
 * Reads the preamble and leaves the protocol's bytes in the stream.
 * @throws PosternError `protocol` if what came is no preamble, `server_unreachable` if the connection ended before one.
 */
export async function readPreamble(stream: Duplex, signal: AbortSignal): Promise<Preamble> {
  try {
    const length = (await readBytes(stream, 4, signal)).readUInt32BE()
    if (length === 0 || length > PREAMBLE_MAX_BYTES) throw notAPreamble(`its length says ${length} bytes`)
    const json = (await readBytes(stream, length, signal)).toString('utf8')
    return Preamble.parse(JSON.parse(json))
  } catch (error) {
    if (error instanceof PosternError || signal.aborted) throw error
    if (error instanceof StreamEndedError || (error as NodeJS.ErrnoException).code !== undefined) {
      throw new PosternError('server_unreachable', 'the access server closed the connection before it said why', {
        cause: error,
      })
    }
    throw notAPreamble('it is not the JSON that was expected', error)
  }
}

const notAPreamble = (why: string, cause?: unknown): PosternError =>
  new PosternError('protocol', `the access server's first message is no preamble: ${why}`, { cause })
