// The demo's plain TCP service: greets whoever connects and answers each line, so that one can see a tcp resource work with
// nothing but `nc`. Used by start-demo.ts.
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { PosternError } from '../shared/errors.ts'

/** A line longer than this is no line, in bytes. */
const LINE_MAX_BYTES = 4096
const HELP = 'Say "time", "who", "help" or "quit"; anything else comes back to you.'

export type RunningGreeter = { stop(): Promise<void> }

/**
 * Listens on 127.0.0.1. Stopping ends its connections.
 * @param now for the answer to "time"
 * @throws PosternError `port_conflict`
 */
export async function startGreeter(port: number, now: () => Date): Promise<RunningGreeter> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
    greet(socket, now)
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening').catch((cause: unknown) => {
    throw new PosternError('port_conflict', `port ${port} of 127.0.0.1 is taken by another program`, { cause })
  })
  return {
    async stop() {
      server.close()
      for (const socket of sockets) socket.destroy()
      if (server.listening) await once(server, 'close')
    },
  }
}

function greet(socket: Socket, now: () => Date): void {
  socket.setEncoding('utf8').write(`Hello. ${HELP}\n`)
  let line = ''
  socket.on('data', (text: string) => {
    line += text
    const lines = line.split('\n')
    line = lines.pop() ?? ''
    for (const one of lines) if (!socket.writableEnded) answer(socket, one.trim(), now)
    if (Buffer.byteLength(line) > LINE_MAX_BYTES) socket.end('That line is too long.\n')
    // Who does not read the answers is not read either.
    else if (socket.writableNeedDrain) {
      socket.pause()
      socket.once('drain', () => socket.resume())
    }
  })
  socket.once('end', () => {
    if (!socket.writableEnded) socket.end()
  })
}

function answer(socket: Socket, line: string, now: () => Date): void {
  switch (line) {
    case '':
      return
    case 'time':
      socket.write(`It is ${now().toISOString()}.\n`)
      return
    case 'who':
      socket.write(`You come from ${socket.remoteAddress}:${socket.remotePort}: the access server, not your machine.\n`)
      return
    case 'help':
      socket.write(`${HELP}\n`)
      return
    case 'quit':
      socket.end('Good-bye.\n')
      return
    default:
      socket.write(`You said: ${line}\n`)
  }
}
