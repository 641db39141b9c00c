// C3: the ClientHello decides the listener by ALPN; it may span segments and records, and may be anything at all.
import net from 'node:net'
import tls from 'node:tls'
import { once } from 'node:events'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { peekClientHello } from '../../server/router/client-hello.ts'

/** The first flight that Node's own TLS client sends. */
async function realClientHello(alpn: string[]): Promise<Buffer> {
  const server = net.createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = tls.connect({
    port: (server.address() as net.AddressInfo).port,
    host: '127.0.0.1',
    servername: 'postern.test',
    ALPNProtocols: alpn,
  })
  client.on('error', () => undefined)
  const [socket] = (await once(server, 'connection')) as [net.Socket]
  const chunks: Buffer[] = []
  for await (const chunk of socket) {
    chunks.push(chunk as Buffer)
    if (peekClientHello(Buffer.concat(chunks)).kind !== 'incomplete') break
  }
  client.destroy()
  socket.destroy()
  server.close()
  return Buffer.concat(chunks)
}

describe('C3: peeking at the ClientHello', () => {
  it('C3: reads ALPN and server name of a real one, at every cut', async () => {
    const bytes = await realClientHello(['postern-postgres', 'http/1.1'])
    expect(peekClientHello(bytes)).toEqual({
      kind: 'hello',
      hello: { alpn: ['postern-postgres', 'http/1.1'], serverName: 'postern.test' },
    })
    for (let size = 0; size < bytes.length; size++)
      expect(peekClientHello(bytes.subarray(0, size)).kind).toBe('incomplete')
  })

  it('C3: reads one that is spread over several records', async () => {
    const bytes = await realClientHello(['postern-control'])
    const body = bytes.subarray(5)
    const records: Buffer[] = []
    for (let at = 0; at < body.length; at += 100) {
      const part = body.subarray(at, at + 100)
      records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part)
    }
    expect(peekClientHello(Buffer.concat(records))).toMatchObject({
      kind: 'hello',
      hello: { alpn: ['postern-control'] },
    })
  })

  it('C3: HTTP, SSH and PostgreSQL are not TLS at their first byte', () => {
    for (const text of ['GET / HTTP/1.1\r\n', 'SSH-2.0-x\r\n', '\0\0\0\x08\x04\xd2\x16\x2f']) {
      expect(peekClientHello(Buffer.from(text, 'latin1'))).toEqual({ kind: 'not tls' })
    }
  })

  it('C3: no bytes make it throw, and none keep it waiting beyond its bound', async () => {
    const real = await realClientHello(['postern-postgres'])
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => void peekClientHello(Buffer.from(bytes))))
    fc.assert(
      fc.property(fc.nat(real.length - 1), fc.integer({ min: 0, max: 255 }), (at, value) => {
        const bent = Buffer.from(real)
        bent[at] = value
        peekClientHello(bent)
      }),
    )
    const tooLong = Buffer.from([22, 3, 1, 0, 100, 1, 0, 64, 1])
    expect(peekClientHello(tooLong).kind).toBe('not tls')
  })
})
