// HTTP as an attacker writes it: any Host, Origin, path and cookie, without a client's own manners. Used by the tests of the
// browser host.
import { connect } from 'node:net'
import { once } from 'node:events'

export type RawAnswer = { status: number; headers: Map<string, string>; body: string }

/** Sends one request line and headers over a fresh connection; resolves with the answer when the peer closes, in 10 s at most. */
export async function rawRequest(
  port: number,
  requestLine: string,
  headers: Record<string, string | string[]>,
  body = '',
): Promise<RawAnswer> {
  const socket = connect(port, '127.0.0.1')
  const lines = Object.entries(headers).flatMap(([name, values]) => [values].flat().map((value) => `${name}: ${value}`))
  socket.write([`${requestLine} HTTP/1.1`, ...lines, 'connection: close', '', body].join('\r\n'))
  const answer = readAnswer(socket)
  return answer
}

/** The same as a browser upgrades to a WebSocket; 101 if it was let in. */
export async function rawUpgrade(port: number, path: string, headers: Record<string, string>): Promise<RawAnswer> {
  const socket = connect(port, '127.0.0.1')
  const all = {
    ...headers,
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  }
  socket.write(
    [`GET ${path} HTTP/1.1`, ...Object.entries(all).map(([name, value]) => `${name}: ${value}`), '', ''].join('\r\n'),
  )
  let text = ''
  for await (const chunk of socket) {
    text += String(chunk)
    if (text.startsWith('HTTP/1.1 101') && text.includes('\r\n\r\n')) break
  }
  socket.destroy()
  return parseAnswer(text)
}

async function readAnswer(socket: ReturnType<typeof connect>): Promise<RawAnswer> {
  let text = ''
  socket.setTimeout(30_000, () => socket.destroy(new Error('no answer within 30 s')))
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  await once(socket, 'close')
  return parseAnswer(text)
}

function parseAnswer(text: string): RawAnswer {
  const [head = '', ...rest] = text.split('\r\n\r\n')
  const [statusLine = '', ...headerLines] = head.split('\r\n')
  return {
    status: Number(statusLine.split(' ')[1] ?? 0),
    headers: new Map(
      headerLines.map((line) => [
        line.slice(0, line.indexOf(':')).toLowerCase(),
        line.slice(line.indexOf(':') + 1).trim(),
      ]),
    ),
    body: rest.join('\r\n\r\n'),
  }
}
