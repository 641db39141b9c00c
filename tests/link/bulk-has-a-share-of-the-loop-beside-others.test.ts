// Who goes on and who rests when a turn of the event loop that carried bulk is over, in a loop whose time is the test's own.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Turns, type BulkFlow } from '../../link/turns.ts'

/** What reading one turn of bulk takes, in ms. */
const TURN_MS = 0.05
/** The loop sleeps so long where nobody reads, in ms. */
const SLEEP_MS = 0.05

/** Has bulk to read whenever it may, as a full socket has. */
class Source implements BulkFlow {
  readonly from = {}
  readonly to = {}
  smallAtMs = -Infinity
  isLasting = true
  turns = 0
  isResting = false
  isOver = false
  endTurn(): void {
    this.turns += 1
  }
  rest(): void {
    this.isResting = true
  }
  goOn(): boolean {
    this.isResting = false
    return !this.isOver
  }
}

/** Carries little at a time. */
const smallOne = (from: object = {}): Pick<BulkFlow, 'from' | 'smallAtMs'> => ({ from, smallAtMs: -Infinity })

/** An event loop with bulk in it. */
class Loop {
  nowMs = 1000
  yields = 0
  /** What others take of the processor when it is given away, in ms. */
  awayMs = 0
  longestRestMs = 0
  readonly turns = new Turns(
    () => {
      this.yields += 1
      this.nowMs += this.awayMs
    },
    () => this.nowMs,
  )
  #timersMs = 0

  /** @param small where small pieces come from, in every turn; undefined: there are none */
  run(
    forMs: number,
    sources: Source[],
    { small, turnMs = TURN_MS }: { small?: Pick<BulkFlow, 'from' | 'smallAtMs'>; turnMs?: number } = {},
  ): void {
    let readAtMs = this.nowMs
    for (const endMs = this.nowMs + forMs; this.nowMs < endMs;) {
      if (small) this.turns.noteSmallPiece(small)
      const reading = sources.filter(({ isResting, isOver }) => !isResting && !isOver)
      if (reading.length > 0) {
        this.longestRestMs = Math.max(this.longestRestMs, this.nowMs - readAtMs)
        for (const source of reading) {
          this.turns.noteBulkPiece(source)
          this.nowMs += turnMs
        }
        readAtMs = this.nowMs
      } else this.nowMs += SLEEP_MS
      // Immediates, and the timers whose time has come.
      vi.advanceTimersByTime(Math.floor(this.nowMs) - this.#timersMs)
      this.#timersMs = Math.floor(this.nowMs)
    }
  }
}

const turnsOf = (sources: Source[]): number[] => sources.map((source) => source.turns)

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate'] }))
afterEach(() => void vi.useRealTimers())

describe('G1: bulk', () => {
  it('has the whole loop where nobody else is, and keeps the processor', () => {
    const [loop, source] = [new Loop(), new Source()]
    loop.run(100, [source])
    expect(source.turns).toBeGreaterThan(1990)
    expect(loop.yields).toBe(0)
    expect(loop.turns.bytesFor(source)).toBe(256 * 1024)
  })

  it.each([1, 8])(
    'has its share of the loop at most beside one that carries little, and gives the processor away (%i)',
    (count) => {
      const [loop, small] = [new Loop(), smallOne()]
      const sources = Array.from({ length: count }, () => new Source())
      loop.run(1000, sources, { small })
      const shareOfTime = (turnsOf(sources).reduce((sum, one) => sum + one) * TURN_MS) / 1000
      expect(shareOfTime).toBeGreaterThan(0.07)
      expect(shareOfTime).toBeLessThan(0.16)
      expect(loop.yields).toBeGreaterThan(0)
      expect(loop.turns.bytesFor(sources[0]!)).toBe(32 * 1024)
      // In turn: nobody has more than the others.
      expect(Math.max(...turnsOf(sources)) - Math.min(...turnsOf(sources))).toBeLessThanOrEqual(2)
    },
  )

  it('does not rest for small pieces of its own, there and back: they are those of its client', () => {
    const [loop, source] = [new Loop(), new Source()]
    loop.run(50, [source], { small: smallOne(source.from) })
    loop.run(50, [source], { small: smallOne(source.to) })
    expect(source.turns).toBeGreaterThan(1990)
    expect(loop.yields).toBe(0)
  })

  it('that is no more than one long answer rests for nobody', () => {
    const [loop, answer, source, small] = [new Loop(), new Source(), new Source(), smallOne()]
    answer.isLasting = false
    loop.run(50, [answer], { small })
    expect(answer.turns).toBeGreaterThan(990)
    // Not behind those that rest, either.
    loop.run(50, [answer, source], { small })
    expect(source.turns).toBeLessThan(answer.turns / 4)
  })

  it('sees another that carries little between small pieces of its own', () => {
    const [loop, source, small] = [new Loop(), new Source(), smallOne()]
    const own = smallOne(source.from)
    for (const one of [small, own, small, own]) loop.turns.noteSmallPiece(one)
    expect(loop.turns.bytesFor(source)).toBe(32 * 1024)
    loop.nowMs += 200
    for (const one of [own, own]) loop.turns.noteSmallPiece(one)
    expect(loop.turns.bytesFor(source)).toBe(256 * 1024)
  })

  it('rests for nobody who says one thing, and for nobody who asked first and is bulk now', () => {
    const [loop, source, next] = [new Loop(), new Source(), new Source()]
    loop.turns.noteSmallPiece(smallOne())
    expect(loop.turns.bytesFor(source)).toBe(256 * 1024)
    for (let n = 0; n < 3; n++) loop.turns.noteSmallPiece(next)
    expect(loop.turns.bytesFor(source)).toBe(32 * 1024)
    loop.turns.noteBulkPiece(next)
    expect(loop.turns.bytesFor(source)).toBe(256 * 1024)
  })

  it('rests for no other bulk, whose pieces end with small ones', () => {
    const [loop, source, other] = [new Loop(), new Source(), new Source()]
    for (let n = 0; n < 3; n++) {
      loop.turns.noteBulkPiece(other)
      loop.turns.noteSmallPiece(other)
    }
    expect(loop.turns.bytesFor(source)).toBe(256 * 1024)
  })

  it('has everything again soon after the last small piece, also if it rested then', () => {
    const [loop, small] = [new Loop(), smallOne()]
    const sources = [new Source(), new Source(), new Source()]
    loop.run(10, sources, { small })
    loop.run(110, sources)
    expect(sources.map(({ isResting }) => isResting)).toEqual([false, false, false])
    const before = turnsOf(sources)
    loop.run(30, sources)
    for (const [at, source] of sources.entries()) expect(source.turns - before[at]!).toBeGreaterThan(190)
  })

  it('has a smaller share where others take the processor for long after each turn, and pays for what they take', () => {
    const [loop, source, small] = [new Loop(), new Source(), smallOne()]
    loop.awayMs = 0.3
    loop.run(1000, [source], { small })
    const before = source.turns
    loop.run(1000, [source], { small })
    const turns = source.turns - before
    expect((turns * (TURN_MS + loop.awayMs)) / 1000).toBeLessThan(0.08)
    expect(turns).toBeGreaterThan(100)
  })

  it('has its larger share again a second after nobody else took the processor for long', () => {
    const [loop, source, small] = [new Loop(), new Source(), smallOne()]
    loop.awayMs = 0.3
    loop.run(100, [source], { small })
    loop.awayMs = 0
    const shareOfTime = (): number => {
      const before = source.turns
      loop.run(200, [source], { small })
      return ((source.turns - before) * TURN_MS) / 200
    }
    expect(shareOfTime()).toBeLessThan(0.06)
    loop.run(1000, [source], { small })
    expect(shareOfTime()).toBeGreaterThan(0.07)
  })

  it.each([
    ['a turn that waited long for the processor', { turnMs: 40, awayMs: 0 }],
    ['a processor that was away for long', { turnMs: TURN_MS, awayMs: 40 }],
  ])('rests for milliseconds at most after %s', (_, { turnMs, awayMs }) => {
    const [loop, source, small] = [new Loop(), new Source(), smallOne()]
    loop.awayMs = awayMs
    loop.run(1000, [source], { small, turnMs })
    expect(loop.longestRestMs - awayMs).toBeGreaterThan(1)
    // Twice the longest rest: a timer counts from the beginning of its turn of the loop, so the first one comes early.
    expect(loop.longestRestMs - awayMs).toBeLessThan(11)
  })

  it('that is over while it rests holds nobody up, and leaves no timer', () => {
    const [loop, small] = [new Loop(), smallOne()]
    const [last, ...others] = Array.from({ length: 50 }, () => new Source())
    loop.run(5, [...others, last!], { small })
    for (const source of others) source.isOver = true
    const before = last!.turns
    loop.run(10, [last!], { small })
    expect(last!.turns - before).toBeGreaterThan(5)
    last!.isOver = true
    loop.run(10, [last!], { small })
    expect(vi.getTimerCount()).toBe(0)
  })
})
