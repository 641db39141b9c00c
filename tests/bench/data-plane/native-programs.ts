// The two C programs of the benchmark: compiles them with the system's compiler, keeps the upstream, runs the load. They are in C
// so that neither end of what is measured is slower than what stands in between.
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { Kept, run } from '../../support/run.ts'

const SOURCES = join(import.meta.dirname, 'native')
const COMPILE_TIMEOUT_MS = 60_000
/** No single measurement takes that long unless something hangs. */
const LOAD_TIMEOUT_MS = 60_000
/** More than anything moves until it is killed. */
const ENDLESS_BYTES = 1e15

/** @throws Error that says what is missing */
export async function compilePrograms(directory: string): Promise<void> {
  for (const name of ['upstream', 'loadgen']) {
    const args = [
      '-O2',
      '-Wall',
      '-o',
      join(directory, name),
      join(SOURCES, `${name}.c`),
      '-lssl',
      '-lcrypto',
      '-lpthread',
    ]
    const done = await run('cc', args, { timeoutMs: COMPILE_TIMEOUT_MS }).catch((cause: unknown) => {
      throw new Error('there is no C compiler: as root, apt-get install gcc libc6-dev libssl-dev', { cause })
    })
    if (done.code !== 0)
      throw new Error(`${name}.c does not compile (Debian: gcc, libc6-dev and libssl-dev are needed):\n${done.stderr}`)
    await access(join(directory, name))
  }
}

const Ports = z.object({ postern: z.number(), peers: z.number(), plain: z.number() })

/** What stands behind the gateways; `directory` holds server.pem, ca.pem and the compiled programs. */
export class Upstream {
  readonly ports: z.infer<typeof Ports>
  readonly #process: Kept

  private constructor(process: Kept, ports: z.infer<typeof Ports>) {
    this.#process = process
    this.ports = ports
  }

  /** @param apiPort of the access server that answers everything but the service */
  static async start(directory: string, apiPort: number): Promise<Upstream> {
    const process = new Kept(join(directory, 'upstream'), [directory, String(apiPort)])
    const [line] = await process.waitFor(/^\{.*\}$/m)
    return new Upstream(process, Ports.parse(JSON.parse(line)))
  }

  get pid(): number {
    return this.#process.child.pid ?? -1
  }

  async stop(): Promise<void> {
    await this.#process.stop()
  }
}

const Outcome = z.object({
  seconds: z.number(),
  bytes: z.number().default(0),
  count: z.number().default(0),
  failures: z.number(),
  p50: z.number().default(0),
  p99: z.number().default(0),
})
/** Seconds, bytes, numbers of connections; p50 and p99 in µs. */
export type LoadOutcome = z.infer<typeof Outcome>

export type LoadTarget = {
  port: number
  /** Where client.pem and ca.pem are, if the load generator is to speak TLS itself. */
  tlsDirectory?: string | undefined
  /** The name that it asks for then; that of the upstream by default. */
  alpn?: string
}

const argumentsOf = ({ port, tlsDirectory }: LoadTarget, args: readonly (string | number)[]): string[] => [
  String(port),
  tlsDirectory ?? '-',
  ...args.map(String),
]

function outcomeOf(line: string): LoadOutcome {
  const outcome = Outcome.parse(JSON.parse(line))
  if (outcome.failures > 0) throw new Error(`${outcome.failures} connections failed, ${outcome.count} were good`)
  return outcome
}

/**
 * Runs the load generator once; its modes are in native/loadgen.c.
 * @param core of the machine that it has to run on; undefined: any
 * @throws Error if a single connection failed: a gateway that drops some is not fast
 */
export async function load(
  directory: string,
  target: LoadTarget,
  args: readonly (string | number)[],
  core?: number,
): Promise<LoadOutcome> {
  const program = join(directory, 'loadgen')
  const all = argumentsOf(target, args)
  const [command, commandArgs] =
    core === undefined ? [program, all] : ['taskset', ['-c', String(core), program, ...all]]
  const env = target.alpn === undefined ? {} : { LOADGEN_ALPN: target.alpn }
  const done = await run(command, commandArgs, { env, timeoutMs: LOAD_TIMEOUT_MS })
  if (done.code !== 0) throw new Error(`the load generator ended with ${String(done.code)}: ${done.stderr}`)
  return outcomeOf(done.stdout)
}

/**
 * Runs `act` while one more connection of this way moves bytes as fast as it can; it is told which process does.
 * @throws Error if that stopped by itself
 */
export async function besideBulk<T>(
  directory: string,
  target: LoadTarget,
  direction: 'up' | 'down',
  act: (pid: number) => Promise<T>,
): Promise<T> {
  const bulk = new Kept(join(directory, 'loadgen'), argumentsOf(target, [direction, 1, ENDLESS_BYTES]))
  try {
    await bulk.waitFor(/moving/, { timeoutMs: LOAD_TIMEOUT_MS })
    const result = await act(bulk.child.pid ?? -1)
    if (!bulk.isRunning) throw new Error(`what was to run beside it ended: ${bulk.output}`)
    return result
  } finally {
    await bulk.stop('SIGKILL')
  }
}

/** Opens that many connections and keeps them while `act` runs. */
export async function withIdleConnections<T>(
  directory: string,
  target: LoadTarget,
  count: number,
  act: () => Promise<T>,
): Promise<T> {
  const process = new Kept(join(directory, 'loadgen'), argumentsOf(target, ['idle', count]))
  try {
    const [line] = await process.waitFor(/^\{.*\}$/m, { timeoutMs: LOAD_TIMEOUT_MS })
    outcomeOf(line)
    return await act()
  } finally {
    process.child.stdin?.end()
    await Promise.race([process.ended, new Promise((resolve) => setTimeout(resolve, 5000))])
    await process.stop()
  }
}
