// A socket to the kernel's sock_diag(7), which answers a question about one connection in microseconds. Node has no netlink, so four
// functions of the C library are called (link/c-library.ts; Linux only). Opened by connection-owner.ts.
import { closeSync } from 'node:fs'
import { loadCLibrary } from '../../link/c-library.ts'

export type NetlinkSocket = {
  /** Sends one question. The kernel has answered it when this returns. @throws Error where it cannot be sent */
  send(question: Uint8Array): void
  /** The next answer, good until the next call; undefined: there is none. Never waits. @throws Error where it cannot be read */
  receive(): Buffer | undefined
  /** Idempotent. */
  close(): void
}

// Numbers of Linux, the same on all machines that Node runs on (linux/netlink.h, bits/socket.h, asm-generic/errno.h).
const AF_NETLINK = 16
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0o2000000
const NETLINK_SOCK_DIAG = 4
const MSG_TRUNC = 0x20
const MSG_DONTWAIT = 0x40
const EAGAIN = 11
/** struct sockaddr_nl of the kernel itself: the family, padding, port 0, no groups. */
const KERNEL = Uint8Array.of(AF_NETLINK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
/** Of an answer, in bytes: more than one about a single connection ever has. */
const ANSWER_MAX_BYTES = 8192

/** @throws (rejects) Error where koffi is not installed or does not run here, or the kernel has no such sockets */
export async function openNetlinkSocket(): Promise<NetlinkSocket> {
  const libc = await loadCLibrary()
  const socket = libc.func('int socket(int, int, int)') as (family: number, type: number, protocol: number) => number
  const connect = libc.func('int connect(int, const void *, unsigned int)') as Call<[Uint8Array, number]>
  const send = libc.func('long send(int, const void *, unsigned long, int)') as Call<[Uint8Array, number, number]>
  const recv = libc.func('long recv(int, void *, unsigned long, int)') as Call<[Buffer, number, number]>
  const failure = (call: string): Error => new Error(`${call} failed with errno ${libc.errno()}`)

  const fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)
  if (fd < 0) throw failure('socket')
  let isClosed = false
  const close = (): void => {
    if (!isClosed) closeSync(fd)
    isClosed = true
  }
  // From here on the kernel is the only one who can send us something.
  if (connect(fd, KERNEL, KERNEL.length) < 0) {
    const error = failure('connect')
    close()
    throw error
  }
  const answer = Buffer.alloc(ANSWER_MAX_BYTES)
  const requireOpen = (): void => {
    // The number may be another file by now.
    if (isClosed) throw new Error('the socket is closed')
  }
  return {
    send(question) {
      requireOpen()
      if (send(fd, question, question.length, 0) !== question.length) throw failure('send')
    },
    receive() {
      requireOpen()
      const length = recv(fd, answer, answer.length, MSG_DONTWAIT | MSG_TRUNC)
      if (length >= 0 && length <= answer.length) return answer.subarray(0, length)
      if (length < 0 && libc.errno() === EAGAIN) return undefined
      throw length < 0 ? failure('recv') : new Error(`an answer of ${length} bytes`)
    },
    close,
  }
}

type Call<Rest extends unknown[]> = (fd: number, ...rest: Rest) => number
