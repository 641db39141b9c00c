// One end of a tcp connection as a process of its own, so that it can be stopped, continued and killed by signals: a client that
// takes or sends without end, a target that does. Used by the tests and benches of what is noticed when a peer stops.
import { Kept } from './run.ts'

/** What each connection of such a process does: reads and forgets, writes as fast as it is let, or says again what it hears. */
export type Doing = 'read' | 'write' | 'echo'

const SERVE = `
const block = Buffer.alloc(65536, 'postern ')
const pour = (socket) => { while (!socket.destroyed && socket.write(block)); socket.once('drain', () => pour(socket)) }
const serve = (socket, doing) => {
  socket.on('error', (error) => console.log('error ' + error.code))
  socket.on('close', () => console.log('closed'))
  socket.once('data', () => console.log('first bytes'))
  if (doing === 'echo') socket.pipe(socket)
  else socket.resume()
  if (doing === 'write') pour(socket)
}`

/** A client of 127.0.0.1:port; prints `first bytes` when it has some, `closed` at its end. */
export const tcpClientProcess = (port: number, doing: Doing): Kept =>
  new Kept(process.execPath, [
    '-e',
    `${SERVE}; serve(require('node:net').connect(${port}, '127.0.0.1'), ${JSON.stringify(doing)})`,
  ])

/** A service on a free port of loopback; resolves when it listens. */
export async function tcpServiceProcess(doing: Doing): Promise<{ process: Kept; port: number }> {
  const kept = new Kept(process.execPath, [
    '-e',
    `${SERVE}; const server = require('node:net').createServer((socket) => serve(socket, ${JSON.stringify(doing)}))
    server.listen(0, '127.0.0.1', () => console.log('port ' + server.address().port))`,
  ])
  const [, port = ''] = await kept.waitFor(/port (\d+)/)
  return { process: kept, port: Number(port) }
}
