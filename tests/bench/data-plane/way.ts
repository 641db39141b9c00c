// One way from the load to the service behind it, running: where to connect, and which processes it costs.

export type RunningWay = {
  /** Of 127.0.0.1. */
  port: number
  /** The load generator speaks TLS itself, with the certificates in this directory. */
  tlsDirectory?: string
  /** What is charged for CPU and memory, with everything below it; empty where nothing stands in between. */
  pids: readonly number[]
  /** Further processes on the way that are not charged: they share the core where everything has to. */
  alsoRunning?: readonly number[]
  stop: () => Promise<void>
}
