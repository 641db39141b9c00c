// Asks the kernel about one connection (sock_diag(7): inet_diag_req_v2 → inet_diag_msg), by both its ends. Beside reading the table
// (kernel-tcp-table.ts) it costs a thousandth, and the same whatever the machine has of connections. Called by connection-owner.ts.
import type { NetlinkSocket } from './netlink-socket.ts'

/** One end of a loopback connection: its dotted IPv4 address and its port. */
export type End = { address: string; port: number }

/** What the kernel says of the socket at an end. One in TIME_WAIT or without a process has inode 0: nobody has that socket. */
export type SocketRow = { uid: number; inode: number }

/** An answer that is none, or one that says that such questions are not answered here. */
export class SocketDiagError extends Error {
  override readonly name = 'SocketDiagError'
}

// Numbers and places of fields in linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h. Everything is in the order of the
// machine (little-endian wherever Node runs), but for ports and addresses, which are in that of the network.
const HEADER_BYTES = 16
const QUESTION_BYTES = HEADER_BYTES + 56
const ANSWER_BYTES = HEADER_BYTES + 72
const SOCK_DIAG_BY_FAMILY = 20
const NLM_F_REQUEST = 1
const NLMSG_ERROR = 2
const ENOENT = 2
const AF_INET = 2
const AF_INET6 = 10
const IPPROTO_TCP = 6
const ALL = 0xffffffff
const LISTENING = 10
/** struct inet_diag_sockid, in a question and in an answer. */
const QUESTION_ID = HEADER_BYTES + 8
const ANSWER_ID = HEADER_BYTES + 4
const [FROM_PORT, TO_PORT, FROM, TO, COOKIE] = [0, 2, 4, 20, 40]
const UID = HEADER_BYTES + 64
const INODE = HEADER_BYTES + 68

/**
 * The socket at `there` whose connection leads to `here`; undefined: the kernel has none.
 * A client with an IPv6 socket that is connected to a mapped address (Java's are) is found, too: the kernel compares the IPv4 ends.
 * @param sequence another number than that of the question before
 * @throws SocketDiagError where the answer is none; what the socket throws
 */
export function askForSocket(
  netlink: Pick<NetlinkSocket, 'send' | 'receive'>,
  there: End,
  here: End,
  sequence: number,
): SocketRow | undefined {
  netlink.send(encodeQuestion(there, here, sequence))
  for (;;) {
    const answer = netlink.receive()
    if (!answer) throw new SocketDiagError('no answer')
    if (sequenceOf(answer) === sequence) return readAnswer(answer, there, here)
  }
}

export function encodeQuestion(there: End, here: End, sequence: number): Buffer {
  const bytes = Buffer.alloc(QUESTION_BYTES)
  bytes.writeUInt32LE(QUESTION_BYTES, 0)
  bytes.writeUInt16LE(SOCK_DIAG_BY_FAMILY, 4)
  bytes.writeUInt16LE(NLM_F_REQUEST, 6)
  bytes.writeUInt32LE(sequence, 8)
  bytes[HEADER_BYTES] = AF_INET
  bytes[HEADER_BYTES + 1] = IPPROTO_TCP
  bytes.writeUInt32LE(ALL, HEADER_BYTES + 4)
  bytes.writeUInt16BE(there.port, QUESTION_ID + FROM_PORT)
  bytes.writeUInt16BE(here.port, QUESTION_ID + TO_PORT)
  bytes.set(addressBytes(there), QUESTION_ID + FROM)
  bytes.set(addressBytes(here), QUESTION_ID + TO)
  // Whatever the cookie of the socket is (INET_DIAG_NOCOOKIE).
  bytes.writeUInt32LE(ALL, QUESTION_ID + COOKIE)
  bytes.writeUInt32LE(ALL, QUESTION_ID + COOKIE + 4)
  return bytes
}

function sequenceOf(answer: Buffer): number {
  if (answer.length < HEADER_BYTES) throw new SocketDiagError(`an answer of ${answer.length} bytes`)
  return answer.readUInt32LE(8)
}

/** @throws SocketDiagError where it is no answer to that question */
export function readAnswer(answer: Buffer, there: End, here: End): SocketRow | undefined {
  sequenceOf(answer)
  const length = answer.readUInt32LE(0)
  const type = answer.readUInt16LE(4)
  if (length > answer.length) throw new SocketDiagError(`an answer of ${answer.length} bytes that says ${length}`)
  if (type === NLMSG_ERROR && length >= HEADER_BYTES + 4) {
    const errno = -answer.readInt32LE(HEADER_BYTES)
    if (errno === ENOENT) return undefined
    throw new SocketDiagError(`the kernel answers with errno ${errno}`)
  }
  if (type !== SOCK_DIAG_BY_FAMILY || length < ANSWER_BYTES)
    throw new SocketDiagError(`an answer of type ${type} and ${length} bytes`)
  // Where there is no such connection, the kernel tells of the listener at that end: somebody's, and not whose we ask.
  const isAsked =
    answer[HEADER_BYTES + 1] !== LISTENING &&
    answer.readUInt16BE(ANSWER_ID + FROM_PORT) === there.port &&
    answer.readUInt16BE(ANSWER_ID + TO_PORT) === here.port &&
    isAddress(answer, ANSWER_ID + FROM, there) &&
    isAddress(answer, ANSWER_ID + TO, here)
  return isAsked ? { uid: answer.readUInt32LE(UID), inode: answer.readUInt32LE(INODE) } : undefined
}

const addressBytes = ({ address }: End): number[] => address.split('.').map(Number)

/** IPv4 as IPv6 has it (::ffff:0:0/96, RFC 4291, 2.5.5.2). */
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]

function isAddress(answer: Buffer, at: number, end: End): boolean {
  const family = answer[HEADER_BYTES]
  const expected =
    family === AF_INET ? addressBytes(end) : family === AF_INET6 ? [...MAPPED, ...addressBytes(end)] : undefined
  return expected?.every((byte, index) => answer[at + index] === byte) ?? false
}
