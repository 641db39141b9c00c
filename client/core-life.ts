// How long the core lives: while a host is attached, a detached gateway is open or background mode is on, and a moment longer. Called by core.ts.

export type CoreLife = {
  /** Something changed: looks whether the core is used. */
  look(): void
  close(): void
}

/** @param options.onIdle called once, `idleExitMs` after the last use ended */
export function createCoreLife(options: {
  idleExitMs: () => number
  isUsed: () => boolean
  onIdle: () => void
}): CoreLife {
  let timer: NodeJS.Timeout | undefined
  let isClosed = false
  return {
    look() {
      if (isClosed) return
      if (options.isUsed()) {
        clearTimeout(timer)
        timer = undefined
      } else {
        timer ??= setTimeout(options.onIdle, options.idleExitMs())
      }
    },
    close() {
      isClosed = true
      clearTimeout(timer)
    },
  }
}
