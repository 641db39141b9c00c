// Many of the same, a few at a time: a hundred gateways that renew do not come to the server all at once. Used by renewal.ts and
// ahead-of-time.ts.

/**
 * Runs `act` for each item in order, at most `max` at a time; resolves when all are over, rejects as the first `act` that does.
 * @param isEnough asked before each item; once it says so, the rest is left out
 */
export async function fewAtATime<T>(
  items: readonly T[],
  max: number,
  act: (item: T) => Promise<void>,
  isEnough: () => boolean = () => false,
): Promise<void> {
  const left = items.values()
  const worker = async (): Promise<void> => {
    for (const item of left) {
      if (isEnough()) return
      await act(item)
    }
  }
  await Promise.all(Array.from({ length: Math.min(max, items.length) }, worker))
}
