// What a run ran on, by kind: no names of machines or people.
import { readFile } from 'node:fs/promises'
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os'
import { run } from '../../support/run.ts'
import type { PeerName } from './peers.ts'

const GIB = 2 ** 30

export async function describeMachine(versions: ReadonlyMap<PeerName, string>): Promise<Record<string, string>> {
  const openssl = await run('openssl', ['version'])
  const pgbench = await run('pgbench', ['--version'])
  return {
    processor: `${cpus()[0]?.model.trim() ?? 'unknown'}, ${availableParallelism()} cores`,
    memory: `${(totalmem() / GIB).toFixed(0)} GiB`,
    kernel: `${type()} ${release()}`,
    // Whether build/bench.mjs could give the run a network of its own.
    'closed sockets kept': (await readFile('/proc/sys/net/ipv4/tcp_max_tw_buckets', 'utf8')).trim(),
    'load before': (loadavg()[0] ?? 0).toFixed(2),
    Postern: `Node ${process.versions.node}, OpenSSL ${process.versions.openssl}`,
    'upstream, load and peers': openssl.stdout.split(' ').slice(0, 2).join(' '),
    ...Object.fromEntries(versions),
    PostgreSQL: /\d+(\.\d+)*/.exec(pgbench.stdout)?.[0] ?? 'unknown',
  }
}
