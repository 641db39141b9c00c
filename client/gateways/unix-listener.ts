// The Unix socket of a gateway (G18), mode 0600: whoever may open it is let in by the rights of the file, since Node does not
// tell who connected (SO_PEERCRED). Made inside a private directory and moved to its name, so that there is no moment at which
// it has wider rights. Called by gateway.ts.
import { chmod, lstat, mkdtemp, realpath, rename, rmdir, stat } from 'node:fs/promises'
import { lstatSync, unlinkSync } from 'node:fs'
import { createConnection, createServer, type Socket } from 'node:net'
import { basename, dirname, isAbsolute, join } from 'node:path'
import { PosternError } from '../../shared/errors.ts'
import type { Listener } from './listener.ts'

/** Longest path in `sockaddr_un` without its zero: 108 bytes with it on Linux, 104 on macOS. */
const PATH_MAX_BYTES = { linux: 107, other: 103 }
/** How long whoever listens on a socket that lies there may take to accept, in ms; one that takes longer is alive. */
const ALIVE_DEADLINE_MS = 2000
const GROUP_OR_OTHERS_MAY_WRITE = 0o022
const STICKY = 0o1000

export type SocketWish = {
  /** As the person said it: a directory that exists, or the path of a socket to be. Absolute. */
  path: string
  /** What clients look for in a directory. */
  name: string
  /** Whether clients find the socket by that name only, whatever the path. */
  isNameFixed: boolean
  uid: number | undefined
  platform: NodeJS.Platform
}

/**
 * Where the socket will lie.
 * @throws PosternError `unsupported` where there are no such sockets; `misconfigured` for a directory that is not there, belongs
 * to somebody else or that others may write to, and for a path that is too long; `bad_request` for a name that no client finds
 */
export async function placeSocket({ path, name, isNameFixed, uid, platform }: SocketWish): Promise<string> {
  if (platform === 'win32' || uid === undefined) {
    throw new PosternError('unsupported', 'gateways on Unix sockets do not exist on this system; use the port')
  }
  if (!isAbsolute(path)) throw new PosternError('bad_request', `${path}: name the socket by an absolute path`)
  const isDirectory = (await stat(path).catch(() => undefined))?.isDirectory() ?? false
  const wanted = isDirectory ? join(path, name) : path
  if (isNameFixed && basename(wanted) !== name) {
    throw new PosternError(
      'bad_request',
      `${wanted}: clients look for a socket named ${name} in a directory; name a directory that exists`,
    )
  }
  const max = platform === 'linux' ? PATH_MAX_BYTES.linux : PATH_MAX_BYTES.other
  if (Buffer.byteLength(wanted) > max) {
    throw new PosternError(
      'misconfigured',
      `${wanted} is too long for a Unix socket: ${Buffer.byteLength(wanted)} bytes of at most ${max}; use a shorter directory`,
    )
  }
  await requireOwnDirectory(dirname(wanted), uid)
  return wanted
}

/** @throws PosternError `misconfigured` unless nobody else can put something else in the socket's place */
async function requireOwnDirectory(dir: string, uid: number): Promise<void> {
  const real = await realpath(dir).catch((cause: unknown) => {
    throw new PosternError('misconfigured', `there is no directory ${dir} for the socket; make it with mode 0700`, {
      cause,
    })
  })
  const own = await stat(real)
  if (own.uid !== uid || (own.mode & GROUP_OR_OTHERS_MAY_WRITE) !== 0) {
    const why = own.uid === uid ? 'others may write to it' : `it belongs to another user (uid ${own.uid})`
    throw new PosternError(
      'misconfigured',
      `the socket cannot be in ${dir}: ${why}; use a directory of yours with mode 0700`,
    )
  }
  for (let above = dirname(real), below = real; above !== below; below = above, above = dirname(above)) {
    const { mode, uid: owner } = await stat(above)
    const isShared = (mode & GROUP_OR_OTHERS_MAY_WRITE) !== 0 && (mode & STICKY) === 0
    if (isShared || (owner !== uid && owner !== 0)) {
      throw new PosternError(
        'misconfigured',
        `the socket cannot be in ${dir}: another user could move ${above} away; use a directory below your home`,
      )
    }
  }
}

/**
 * Listens on a Unix socket that placeSocket found a place for. One that nobody listens on any more is replaced.
 * @throws PosternError `port_conflict` if somebody listens there, or what lies there is no socket
 */
export async function listenOnUnixSocket(path: string, onConnection: (socket: Socket) => void): Promise<Listener> {
  await requireFree(path)
  // 0700, and shorter than the name of a socket, so that what fits there fits here.
  const cradle = await mkdtemp(join(dirname(path), '.p'))
  const born = join(cradle, 's')
  const server = createServer({ allowHalfOpen: true }, onConnection)
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(born, () => {
        server.off('error', reject)
        resolve()
      })
    })
    await chmod(born, 0o600)
    await rename(born, path)
  } catch (error) {
    server.close()
    throw error
  } finally {
    await rmdir(cradle).catch(() => undefined)
  }
  // Accepting can fail for a moment (too many open files); the listener goes on.
  server.on('error', () => undefined)
  const { ino, dev } = await lstat(path)
  return {
    stop() {
      server.close()
      removeIfSame(path, ino, dev)
    },
  }
}

async function requireFree(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (!found) return
  if (!found.isSocket()) throw socketConflict(path, 'something that is no socket lies there')
  if (await isAlive(path)) throw socketConflict(path, 'another program listens there')
}

/** Whether somebody listens on a socket that lies there: what a core that died has left refuses. */
function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path)
    const settle = (isThere: boolean): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(isThere)
    }
    const timer = setTimeout(() => settle(true), ALIVE_DEADLINE_MS)
    socket.once('connect', () => settle(true))
    // EAGAIN: its backlog is full, so it lives; ENOENT: it went just now.
    socket.once('error', (error: NodeJS.ErrnoException) =>
      settle(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    )
  })
}

/** Somebody may have put another one there since. */
function removeIfSame(path: string, ino: number, dev: number): void {
  try {
    const now = lstatSync(path)
    if (now.ino === ino && now.dev === dev) unlinkSync(path)
  } catch {
    // It is gone already, with its directory or by hand.
  }
}

const socketConflict = (path: string, why: string): PosternError =>
  new PosternError('port_conflict', `the socket ${path} is taken: ${why}; free it, or name another directory`, {
    detail: { socket: path },
  })
