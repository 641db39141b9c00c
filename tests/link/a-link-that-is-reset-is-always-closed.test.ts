// G19: a reset comes at any moment of a connection, its end included, and the link is closed after it: whoever closes a gateway
// waits for that.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createConnection, createServer, type AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { createTestCa } from '../support/certificates.ts'
import { linkOf } from '../../link/link.ts'

describe('G19: a link that is reset', () => {
  for (const moment of ['while it runs', 'while its end is sent', 'after its end was sent'] as const) {
    it(`G19: is closed, ${moment}`, async () => {
      const server = createServer((socket) => socket.on('error', () => undefined).resume())
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const socket = createConnection({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' })
      await once(socket, 'connect')
      const link = linkOf(socket)
      if (moment !== 'while it runs') socket.end('the end')
      if (moment === 'after its end was sent') await once(socket, 'finish')
      link.reset()
      await link.closed
      expect(socket.destroyed).toBe(true)
      const over = once(server, 'close')
      server.close()
      await over
    })

    it(`G19: over TLS it is closed and the process lives, ${moment}`, async () => {
      // In a process of its own: what this shows once crashed it.
      const { certPem, keyPem } = createTestCa().issueServer({})
      const script = `
        import { once } from 'node:events'
        import { connect } from 'node:net'
        import { createServer, connect as connectTls } from 'node:tls'
        import { linkOf } from ${JSON.stringify(new URL('../../link/link.ts', import.meta.url).href)}
        const server = createServer({ cert: ${JSON.stringify(certPem)}, key: ${JSON.stringify(keyPem)} }, (one) => one.on('error', () => {}).resume())
        server.on('tlsClientError', () => {})
        server.listen(0, '127.0.0.1')
        await once(server, 'listening')
        const transport = connect({ host: '127.0.0.1', port: server.address().port, allowHalfOpen: true })
        transport.on('error', () => {})
        await once(transport, 'connect')
        const socket = connectTls({ socket: transport, rejectUnauthorized: false, allowHalfOpen: true })
        await once(socket, 'secureConnect')
        const link = linkOf(socket, transport)
        socket.resume()
        if (${JSON.stringify(moment)} !== 'while it runs') socket.end('the end')
        if (${JSON.stringify(moment)} === 'after its end was sent') await once(socket, 'finish')
        link.reset()
        await link.closed
        server.close()
        await once(server, 'close')
        // Long enough for what is freed twice to be found out.
        for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve))
        console.log('lives')`
      const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
        timeout: 50_000,
      })
      expect(stdout).toBe('lives\n')
    })
  }
})
