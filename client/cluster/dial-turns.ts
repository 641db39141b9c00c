// Dials begin a few at a time: after a login hundreds of held connections dial at once, and beginning and finishing that many
// TLS handshakes in one turn of the event loop would let the windows wait. Called by dial.ts.

/** As many begin in one turn: about 5 ms of it (0.5 ms each on a slow machine). */
const DIALS_A_TURN = 8

const queue: (() => void)[] = []
let begunInThisTurn = 0
let isTurnScheduled = false

/**
 * Waits for the turn of a dial, first come, first served. Nobody waits for the end of another's dial: one that hangs holds
 * nobody up. Bounded by the number of those before: a turn each eight.
 */
export function dialTurn(): Promise<void> {
  scheduleTurn()
  if (begunInThisTurn < DIALS_A_TURN && queue.length === 0) {
    begunInThisTurn += 1
    return Promise.resolve()
  }
  return new Promise((resolve) => queue.push(resolve))
}

function scheduleTurn(): void {
  if (isTurnScheduled) return
  isTurnScheduled = true
  setImmediate(() => {
    isTurnScheduled = false
    const next = queue.splice(0, DIALS_A_TURN)
    begunInThisTurn = next.length
    for (const begin of next) begin()
    if (next.length > 0) scheduleTurn()
  })
}
