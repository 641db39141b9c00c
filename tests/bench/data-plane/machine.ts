// What a run ran on, by kind: no names of machines or people.
import { readFile } from 'node:fs/promises'
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os'
import { run } from '../../support/run.ts'
import type { PeerName } from './peers.ts'

const GIB = 2 ** 30
/** More than this many processes that want to run, before we have started anything, and the figures are somebody else's. */
export const QUIET_LOAD = 1.5

/** How many processes wanted to run in the last minute, on average, as `describeMachine` wrote it down. */
export const loadOf = (machine: Record<string, string>): number =>
  Math.max(...(machine['load before'] ?? '0').split(', ').map(Number))

/** The commit that runs, and whether something was changed since. */
async function commit(): Promise<string> {
  const git = (...args: string[]) => run('git', ['-C', import.meta.dirname, ...args])
  try {
    const head = await git('rev-parse', '--short', 'HEAD')
    if (head.code !== 0) return 'unknown commit'
    const { stdout } = await git('status', '--porcelain', '--untracked-files=no')
    return `${head.stdout.trim()}${stdout === '' ? '' : ' and changes'}`
  } catch {
    return 'unknown commit'
  }
}

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
    Postern: `${await commit()}, Node ${process.versions.node}, OpenSSL ${process.versions.openssl}`,
    'upstream, load and peers': openssl.stdout.split(' ').slice(0, 2).join(' '),
    ...Object.fromEntries(versions),
    PostgreSQL: /\d+(\.\d+)*/.exec(pgbench.stdout)?.[0] ?? 'unknown',
  }
}
