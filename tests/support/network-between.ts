// A network between a core and its access server that does what networks do: it forwards, loses what stays connected, cuts it, or
// takes everything and gives nothing. Used by tests of what a person's bad network costs.
import { once } from 'node:events'
import net from 'node:net'

export type Way = {
  /** Where the core finds the server. */
  readonly address: string
  /** Ends all connections that there are. */
  cut(): void
  /** From now on the connections that there are carry nothing, and nobody is told. */
  swallow(): void
  /** As long as it is silent, new connections are taken and carry nothing either: a suspended network. */
  isSilent: boolean
  close(): Promise<void>
}

/** @param port of the access server on 127.0.0.1 */
export async function startWay(port: number): Promise<Way> {
  const pairs = new Set<[net.Socket, net.Socket]>()
  const silence = ([a, b]: [net.Socket, net.Socket]): void => {
    a.unpipe(b)
    b.unpipe(a)
    // Taken and forgotten, as by a firewall that has lost its state.
    a.resume()
    b.resume()
  }
  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    const target = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    const pair: [net.Socket, net.Socket] = [client, target]
    pairs.add(pair)
    if (way.isSilent) silence(pair)
    else client.pipe(target).pipe(client)
    for (const socket of pair) {
      socket.on('error', () => undefined)
      socket.once('close', () => {
        pairs.delete(pair)
        for (const one of pair) one.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const way: Way = {
    address: `127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    isSilent: false,
    cut() {
      for (const pair of pairs) for (const socket of pair) socket.destroy()
    },
    swallow() {
      for (const pair of pairs) silence(pair)
    },
    async close() {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      for (const pair of pairs) for (const socket of pair) socket.destroy()
      await closed
    },
  }
  return way
}
