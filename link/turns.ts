// What bulk may take of this process, so that connections that carry little at a time do not wait for those that carry much. Beside
// them bulk has short turns of the event loop, and all bulk together a share of its time; the rest stays free. Alone it has everything.
// One for the process (`turns`), asked by what carries bytes: socket-pump.ts and stream-pump.ts.
//
// Why a share, and not only short turns: bulk that is as fast as it can keeps every process on its way busy, the programs at both ends
// among them, and then a small piece waits for a processor at each of them (docs/benchmarks.md, "Beside heavy neighbours"). A turn
// wakes those programs, so after each of them the processor is given away; what they take of it then is bulk's too, and where they
// take much (a database that fills its empty buffer computes for a millisecond) the share is a small one.
import { giveWay as giveProcessorAway } from './give-way.ts'

/** A turn where nobody else waits, in bytes: one full buffer of the pump. Measured: as fast as without a limit. */
const ALONE_BYTES = 256 * 1024
/** A turn beside connections that carry little at a time, in bytes: what one of those may find in front of it. */
const SHARED_BYTES = 32 * 1024
/**
 * Small pieces of one direction that come as soon after each other, in ms, are somebody's who waits for each; for as long they show that
 * he is there. A single one (a question before bulk, the word that it came) shows nothing: what it may wait is a turn.
 */
const SHARED_FOR_MS = 50
/** Of the event loop's time, what all bulk together may have beside others where processors are free, ... */
const MOST_SHARE = 0.15
/** ... and where others wait for one behind it. */
const LEAST_SHARE = 0.04
/** That is so where the processor, given away, is not back for as long, in ms. Each time halves the share. */
const LONG_AWAY_MS = 0.2
/** It grows from the least to the most in this time, in ms: many times as long as from one such wait to the next. */
const GROWN_IN_MS = 1000
/** What may be saved up, in ms: as much is spent at a stretch. */
const SAVED_MS = 0.1
/** What may be owed, in ms. A turn that took longer waited for the processor itself, on a machine that has much else to do; ... */
const OWED_MS = 1
/** ... bulk does not come to a stand there either: all of it together has a turn after a rest of this length, in ms. */
const LONGEST_REST_MS = 5
/** The shortest wait of a timer, in ms. */
const TICK_MS = 1

/** One direction of a connection, as what carries it knows it. */
export interface BulkFlow {
  readonly from: object
  readonly to: object
  /** When it carried a small piece last, in ms; kept for `noteSmallPiece`. */
  smallAtMs: number
  /** Whether it carries more than one long answer: such an answer rests for nobody. Asked at the end of a turn. */
  readonly isLasting: boolean
  /** The turn of the event loop is over in which it carried bulk: what was gathered goes out. */
  endTurn(): void
  /** Others come first: nothing is read until `goOn`. */
  rest(): void
  /** Does nothing where it does not rest. @returns whether it reads now: not if it is over, or waits for something else */
  goOn(): boolean
}

type Ends = Pick<BulkFlow, 'from' | 'to'>

export class Turns {
  readonly #giveWay: () => void
  readonly #now: () => number
  /** The last small piece, and the last one that came from somewhere else. */
  #last: { from: object | undefined; atMs: number } = { from: undefined, atMs: -Infinity }
  #other: { from: object | undefined; atMs: number } = { from: undefined, atMs: -Infinity }
  /** Those that carried bulk in this turn, when the first of them did, and when the last turn beside others was over. */
  readonly #inTurn = new Set<BulkFlow>()
  #turnBeganMs = 0
  #turnEndedMs = 0
  /** Those that wait to go on, in order. */
  readonly #resting = new Set<BulkFlow>()
  #timer: NodeJS.Timeout | undefined
  #share = MOST_SHARE
  /** What bulk may take now, in ms; below 0 it owes. */
  #leftMs = SAVED_MS
  #leftAtMs = 0

  /**
   * @param giveWay gives the processor to whoever waits for it; called after each turn of bulk beside others
   * @param now the time, in ms
   */
  constructor(giveWay: () => void, now = (): number => performance.now()) {
    this.#giveWay = giveWay
    this.#now = now
  }

  /** A piece of a connection that carries little at a time has come. */
  noteSmallPiece(flow: Pick<BulkFlow, 'from' | 'smallAtMs'>): void {
    const atMs = this.#now()
    const isOneOfMany = atMs - flow.smallAtMs < SHARED_FOR_MS
    flow.smallAtMs = atMs
    if (!isOneOfMany) return
    if (this.#last.from !== flow.from) [this.#other, this.#last] = [this.#last, this.#other]
    this.#last.from = flow.from
    this.#last.atMs = atMs
  }

  /** A piece of bulk has come. The flow is told when the turn is over, and whether it has to rest then. */
  noteBulkPiece(flow: BulkFlow): void {
    if (this.#inTurn.size === 0) {
      this.#turnBeganMs = this.#now()
      setImmediate(this.#endTurn)
    }
    this.#inTurn.add(flow)
    // A small rest of bulk is no question.
    flow.smallAtMs = -Infinity
    // It may have asked before, in small pieces; nobody has to wait for it any more.
    if (flow.isLasting)
      for (const small of [this.#last, this.#other])
        if (small.from === flow.from || small.from === flow.to) small.atMs = -Infinity
  }

  /** What may be read of one connection, and written at once, before others have their turn, in bytes. */
  bytesFor(flow: Ends): number {
    return this.#isBeside(flow) ? SHARED_BYTES : ALONE_BYTES
  }

  /** Whether another connection carries little, and would wait for this one. What is small of its own, there or back, does not count. */
  #isBeside({ from, to }: Ends): boolean {
    const [last, other] = [this.#last, this.#other]
    const sinceMs = this.#now() - SHARED_FOR_MS
    return (
      (last.atMs > sinceMs && last.from !== from && last.from !== to) ||
      (other.atMs > sinceMs && other.from !== from && other.from !== to)
    )
  }

  readonly #endTurn = (): void => {
    const flows = [...this.#inTurn]
    this.#inTurn.clear()
    for (const flow of flows) flow.endTurn()
    let isBesideOthers = false
    for (const flow of flows) {
      // To the back of the queue, where there is one.
      this.#resting.delete(flow)
      if (flow.isLasting && this.#isBeside(flow)) this.#resting.add(flow)
      else flow.goOn()
      isBesideOthers ||= this.#resting.has(flow)
    }
    if (!isBesideOthers) return
    this.#giveAway()
    this.#callNext()
    for (const flow of flows) if (this.#resting.has(flow)) flow.rest()
  }

  /** Gives the processor away after a turn. How long it is away shows whether others wait for one behind bulk; bulk pays for both. */
  #giveAway(): void {
    const givenMs = this.#now()
    this.#giveWay()
    const nowMs = this.#now()
    const grown = ((MOST_SHARE - LEAST_SHARE) * (nowMs - this.#turnEndedMs)) / GROWN_IN_MS
    this.#turnEndedMs = nowMs
    this.#share =
      nowMs - givenMs > LONG_AWAY_MS
        ? Math.max(LEAST_SHARE, this.#share / 2)
        : Math.min(MOST_SHARE, this.#share + grown)
    this.#refill(nowMs)
    this.#leftMs = Math.max(this.#leftMs - (nowMs - this.#turnBeganMs), -OWED_MS)
  }

  /** Lets the first that can go on do so, if there is something left for it, and looks again later where others wait. */
  readonly #callNext = (): void => {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const nowMs = this.#now()
    this.#refill(nowMs)
    const mayGoOn = this.#leftMs > 0 || nowMs - this.#turnEndedMs >= LONGEST_REST_MS
    for (const flow of this.#resting) {
      const isBeside = this.#isBeside(flow)
      if (isBeside && !mayGoOn) break
      this.#resting.delete(flow)
      // The next one is called when this one's turn is over.
      if (flow.goOn() && isBeside) break
    }
    // One that finds nothing to read has no turn that could end.
    if (this.#resting.size === 0) return
    const untilPaidMs = -this.#leftMs / this.#share
    this.#timer = setTimeout(this.#callNext, Math.max(TICK_MS, Math.min(untilPaidMs, LONGEST_REST_MS)))
  }

  #refill(nowMs: number): void {
    this.#leftMs = Math.min(SAVED_MS, this.#leftMs + (nowMs - this.#leftAtMs) * this.#share)
    this.#leftAtMs = nowMs
  }
}

/** That of this process. */
export const turns = new Turns(giveProcessorAway)
