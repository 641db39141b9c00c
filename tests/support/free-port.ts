// Ports for programs that have to be told theirs before they listen, or that come back on it after a restart.
import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * Below the range from which the system takes ports for outgoing connections (from 32768 on, as a rule): one of those would be
 * somebody's connection by the time a program wants to listen, on a machine where other tests open hundreds. Below those that
 * gateways choose for themselves, too (from 15000 on).
 */
const FIRST_PORT = 10_000
const PORTS_OF_A_WORKER = 1250
/** Test files that run at the same time take theirs from ranges of their own. */
const WORKERS = 4

const first = FIRST_PORT + (Number(process.env['VITEST_POOL_ID'] ?? process.pid) % WORKERS) * PORTS_OF_A_WORKER
let next = Math.floor(Math.random() * PORTS_OF_A_WORKER)

/** A loopback port that was free a moment ago, and that nobody is given a second time soon. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORTS_OF_A_WORKER; tries++) {
    next = (next + 1) % PORTS_OF_A_WORKER
    const port = first + next
    if (await isFree(port)) return port
  }
  throw new Error(`no port from ${first} on is free`)
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
  } catch {
    return false
  }
  server.close()
  await once(server, 'close')
  return true
}
