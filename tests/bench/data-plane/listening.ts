// Programs of others that listen on a port which we choose for them (free-port.ts), and the proof that it is that
// very program which listens, not another one that has taken the port. (A run once measured an sshd in place of `ssh -L`: both had
// been given the same port, and an sshd, too, sends a byte to whoever connects.) Called by peers.ts.
import { readdir, readFile, readlink } from 'node:fs/promises'
import { Kept, until, type RunOptions } from '../../support/run.ts'

const START_TIMEOUT_MS = 15_000
/** State of a listening socket in /proc/net/tcp (Linux, include/net/tcp_states.h). */
const LISTENING = '0A'
/** 127.0.0.1 and 0.0.0.0 as they stand there. */
const ADDRESSES = ['0100007F', '00000000']

/** Inode of the socket that listens on this port of 127.0.0.1. */
async function listenerOf(port: number): Promise<string | undefined> {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0')
  const lines = (await readFile('/proc/net/tcp', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/))
  const line = lines.find(
    ([, local = '', , state]) => state === LISTENING && ADDRESSES.some((address) => local === `${address}:${hexPort}`),
  )
  // proc_net_tcp: slot, local, remote, state, queues, timer, retransmits, uid, timeout, inode.
  return line?.[9]
}

/** Whether this process, and no other one, listens there. */
export async function isListeningOn(pid: number, port: number): Promise<boolean> {
  const inode = await listenerOf(port)
  if (inode === undefined) return false
  const files = `/proc/${pid}/fd`
  // One that has just ended has none.
  const names = await readdir(files).catch(() => [])
  const links = await Promise.all(names.map((name) => readlink(`${files}/${name}`).catch(() => 'closed meanwhile')))
  return links.includes(`socket:[${inode}]`)
}

/** Keeps a program until it listens. @throws Error with what it printed if it ends, or does not listen in time */
export async function startListening(
  command: string,
  args: readonly string[],
  port: number,
  options: RunOptions = {},
): Promise<Kept> {
  const kept = new Kept(command, args, options)
  const isReady = async (): Promise<boolean> => {
    if (!kept.isRunning) {
      await kept.ended
      throw new Error(`${command} ended: ${kept.output}`)
    }
    return isListeningOn(kept.child.pid ?? -1, port)
  }
  try {
    await until(isReady, `${command} listens`, START_TIMEOUT_MS)
    return kept
  } catch (error) {
    await kept.stop()
    throw error
  }
}
