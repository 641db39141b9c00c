// Plain TCP at a gateway (DB6): bytes of which nothing is known. Either side may speak first, so nothing is waited for and every
// connection counts as a client (G2); a FIN only ends what the client has to say; an error is a plain close (G7).
// A web page is kept out by http-screen.ts (G18). There is no place for a password.
import type { Socket } from 'node:net'
import { ALPN } from '../../../shared/names.ts'
import { createHttpScreen } from './http-screen.ts'
import type { GatewayProtocol, Opening, OpeningWait } from './protocol.ts'

const NOTHING = Buffer.alloc(0)
/** For a browser's request to come, before a person is asked to log in for it, in ms; a browser sends it at once. */
const LOOK_MS = 300

export const tcp: GatewayProtocol = {
  alpn: ALPN.tcp,
  isEndAHangUp: false,
  hasDatabases: false,
  readOpening,
  passwordCheck: null,
  socketName: ({ resource }) => ({ name: `${resource}.sock`, isNameFixed: false }),
  lastWordsFor: () => NOTHING,
  stringsFor: ({ host, port, socket }) =>
    socket === undefined
      ? { url: `tcp://${host}:${port}`, env: { HOST: host, PORT: String(port) } }
      : { url: `unix:${socket}`, env: { SOCKET: socket } },
  // The server says ok only when it has reached the target: with the preamble everything is shown.
  probe: () => Promise.resolve(),
}

/** What has come by now; where a person would be asked, what comes within a moment. */
async function readOpening(socket: Socket, { signal, isPersonNeeded }: OpeningWait): Promise<Opening> {
  // A page reaches ports only; whoever wants another Host name than ours has a Unix socket for it.
  if (socket.localPort === undefined) return { kind: 'session', bytes: NOTHING, client: null }
  const screen = createHttpScreen()
  const look = lookFor(isPersonNeeded ? LOOK_MS : undefined)
  const parts: Buffer[] = []
  try {
    for (;;) {
      const bytes = takeWhatIsThere(socket)
      if (bytes) {
        parts.push(bytes)
        const judgement = screen.take(bytes)
        if (judgement.kind === 'refused') return { kind: 'garbage', text: judgement.text }
        if (judgement.kind === 'pass') return { kind: 'session', bytes: Buffer.concat(parts), client: null }
      } else if (!(await isMoreComing(socket, look, signal))) {
        return { kind: 'session', bytes: Buffer.concat(parts), client: null, screen: createHttpScreen() }
      }
    }
  } finally {
    look.end()
  }
}

type Look = { isOver: boolean; onOver: () => void; end: () => void }

/** A time to look, in ms; undefined: until the system has been asked once what there is. */
function lookFor(ms: number | undefined): Look {
  const look: Look = { isOver: false, onOver: () => undefined, end: () => undefined }
  const over = (): void => {
    look.isOver = true
    look.onOver()
  }
  if (ms === undefined) {
    // This turn of the event loop has asked already; the next one knows of this socket.
    let turn = setImmediate(() => (turn = setImmediate(over)))
    look.end = () => clearImmediate(turn)
  } else {
    const timer = setTimeout(over, ms)
    look.end = () => clearTimeout(timer)
  }
  return look
}

const takeWhatIsThere = (socket: Socket): Buffer | null => socket.read() as Buffer | null

/** Whether more came before the look was over, the client's FIN or its end. */
function isMoreComing(socket: Socket, look: Look, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (): void => {
      socket.off('readable', settle).off('end', settle).off('close', settle)
      signal.removeEventListener('abort', settle)
      look.onOver = () => undefined
      resolve(socket.readableLength > 0)
    }
    if (look.isOver || signal.aborted || socket.destroyed || socket.readableEnded) {
      resolve(false)
      return
    }
    socket.on('readable', settle).on('end', settle).on('close', settle)
    signal.addEventListener('abort', settle, { once: true })
    look.onOver = settle
  })
}
