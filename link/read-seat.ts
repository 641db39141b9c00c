// The place of a socket where it takes memory to read into, instead of making a buffer for every read. Called by socket-pump.ts.
//
// How: a socket that is made with the documented option `onread` reads into the buffers that it is given. One that was accepted,
// or read from before, takes no options any more; but all that the option does is to set three fields of the socket and to tell
// its handle of the buffer (Node 24, lib/net.js: Socket, initSocketHandle). These names are not public, so they are looked for on
// every socket; where one is missing or is not what it was, streams do it.
import type { Socket } from 'node:net'

/** The fields of a socket that hold the buffer that is read into, the function that names the next, and the one that is told. */
const FIELDS = ['kBuffer', 'kBufferGen', 'kBufferCb'] as const
export type Seat = { handle: object; useUserBuffer: (buffer: Buffer) => void } & Record<(typeof FIELDS)[number], symbol>

/** Where a socket takes a buffer; undefined where it has no such place, or one that is taken. */
export function seatOf(socket: Socket): Seat | undefined {
  const handle: unknown = Reflect.get(socket, '_handle')
  if (socket.connecting || typeof handle !== 'object' || handle === null) return undefined
  const useUserBuffer: unknown = Reflect.get(handle, 'useUserBuffer')
  const [kBuffer, kBufferGen, kBufferCb] = FIELDS.map((name) =>
    Object.getOwnPropertySymbols(socket).find((one) => one.description === name && Reflect.get(socket, one) === null),
  )
  if (typeof useUserBuffer !== 'function' || !kBuffer || !kBufferGen || !kBufferCb) return undefined
  return {
    handle,
    useUserBuffer: (buffer) => void Reflect.apply(useUserBuffer, handle, [buffer]),
    kBuffer,
    kBufferGen,
    kBufferCb,
  }
}

/**
 * From now on the socket reads into memory of ours.
 * @param next asked after each read where the next one goes; undefined: where the last one went
 * @param onRead told how many bytes were read; false stops reading
 */
export function takeSeat(
  seat: Seat,
  socket: Socket,
  first: Buffer,
  next: () => Buffer | undefined,
  onRead: (size: number) => boolean,
): void {
  Reflect.set(socket, seat.kBufferGen, next)
  Reflect.set(socket, seat.kBufferCb, onRead)
  offer(seat, socket, first)
}

/** The handle knows the address only: the field is what keeps the memory. Each call costs some 50 bytes until the handle closes. */
export function offer(seat: Seat, socket: Socket, buffer: Buffer): void {
  if (Reflect.get(socket, '_handle') !== seat.handle) return
  Reflect.set(socket, seat.kBuffer, buffer)
  seat.useUserBuffer(buffer)
}
