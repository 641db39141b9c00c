// When a dial may begin. After a login hundreds of held connections dial at once: all of them together would take so long that the
// last ones miss their deadline, and the windows would wait as well. So each route has its share of dials in progress, first come,
// first served, and a few begin in one turn of the event loop. Called by dial.ts.

/**
 * Dials of one route in progress. The server's handshake deadline (10 s) is met by a server that manages 8 a second for five busy
 * gateways; a server 50 ms away still takes a hundred a second of each.
 */
const IN_PROGRESS_MAX = 16
/** As many begin in one turn: about 5 ms of it (0.5 ms each on a slow machine). */
const BEGINNING_A_TURN = 8

type Lane = { inProgress: number; waiting: Set<() => void> }

const lanes = new Map<string, Lane>()

/**
 * Waits for the turn of a dial. Routes do not wait for each other: a target that hangs holds nobody else up.
 * @param route what has lanes of its own
 * @returns what ends the dial's time in progress; call it whatever came of it
 * @throws the signal's reason if that aborts first
 */
export async function dialTurn(route: string, signal: AbortSignal): Promise<() => void> {
  signal.throwIfAborted()
  const lane = lanes.get(route) ?? { inProgress: 0, waiting: new Set() }
  lanes.set(route, lane)
  if (lane.inProgress < IN_PROGRESS_MAX) lane.inProgress += 1
  else await placeIn(lane, signal)

  let isOver = false
  const end = (): void => {
    if (isOver) return
    isOver = true
    const [next] = lane.waiting
    // The place goes to the next one as it is.
    if (next) next()
    else lane.inProgress -= 1
    if (lane.inProgress === 0) lanes.delete(route)
  }
  await beginning()
  if (signal.aborted) {
    end()
    throw signal.reason
  }
  return end
}

function placeIn(lane: Lane, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      lane.waiting.delete(onPlace)
      signal.removeEventListener('abort', onAbort)
      act()
    }
    const onPlace = (): void => settle(resolve)
    const onAbort = (): void => settle(() => reject(signal.reason as Error))
    lane.waiting.add(onPlace)
    signal.addEventListener('abort', onAbort, { once: true })
  })
}

const queue: (() => void)[] = []
let begunInThisTurn = 0
let isTurnScheduled = false

function beginning(): Promise<void> {
  scheduleTurn()
  if (begunInThisTurn < BEGINNING_A_TURN && queue.length === 0) {
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
    const next = queue.splice(0, BEGINNING_A_TURN)
    begunInThisTurn = next.length
    for (const begin of next) begin()
    if (next.length > 0) scheduleTurn()
  })
}
