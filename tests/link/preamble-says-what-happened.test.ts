// C5: the preamble's framing, and that nothing but a whole preamble counts as one.
import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodePreamble, readPreamble } from '../../link/preamble.ts'
import { PosternError } from '../../shared/errors.ts'

const never = new AbortController().signal
const ok = { ok: { version: 1, sessionId: 's-1', serverTime: '2026-01-01T00:00:00.000Z' } }

describe('C5: the preamble', () => {
  it('C5: is read whatever the segments are, and the bytes behind it stay in the stream', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 8 }), async (cuts) => {
        const bytes = Buffer.concat([encodePreamble(ok), Buffer.from('protocol bytes')])
        const stream = new PassThrough()
        const reading = readPreamble(stream, never)
        let at = 0
        for (const cut of cuts) {
          stream.write(bytes.subarray(at, at + cut))
          at = Math.min(bytes.length, at + cut)
        }
        stream.end(bytes.subarray(at))
        expect(await reading).toEqual(ok)
        let rest = ''
        for await (const chunk of stream) rest += String(chunk)
        expect(rest).toBe('protocol bytes')
      }),
      { numRuns: 50 },
    )
  })

  it('C5: silence is not success: a connection that ends before it is unreachable, half of one too', async () => {
    for (const bytes of [Buffer.alloc(0), encodePreamble(ok).subarray(0, 3), encodePreamble(ok).subarray(0, 20)]) {
      const stream = new PassThrough()
      stream.end(bytes)
      await expect(readPreamble(stream, never)).rejects.toMatchObject({ code: 'server_unreachable' })
    }
  })

  it('C5: garbage, HTML and an oversized length are protocol errors, never anything else', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 4, maxLength: 200 }), async (bytes) => {
        const stream = new PassThrough()
        stream.end(bytes)
        const error: unknown = await readPreamble(stream, never).catch((caught: unknown) => caught)
        expect(error).toBeInstanceOf(PosternError)
        expect(['protocol', 'server_unreachable']).toContain((error as PosternError).code)
      }),
      { numRuns: 100 },
    )
    const html = new PassThrough()
    html.end('<html><body>captive portal</body></html>')
    await expect(readPreamble(html, never)).rejects.toMatchObject({ code: 'protocol' })
  })

  it('S10: an abort ends the wait', async () => {
    const abort = new AbortController()
    const reading = readPreamble(new PassThrough(), abort.signal)
    abort.abort(new Error('no longer wanted'))
    await expect(reading).rejects.toThrow('no longer wanted')
  })
})
