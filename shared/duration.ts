// Durations as people write them: "90s", "10m", "8h", "1h30m", "2d". Pure.
import { z } from 'zod'

const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds of a duration such as `1h30m`; `undefined` if it is not one, is zero, or is longer than a year. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+(ms|s|m|h|d))+$/.test(text)) return undefined
  let totalMs = 0
  for (const [, amount = '', unit = ''] of text.matchAll(/(\d+)(ms|s|m|h|d)/g))
    totalMs += Number(amount) * (UNIT_MS[unit] ?? NaN)
  return totalMs > 0 && totalMs <= 366 * 86_400_000 ? totalMs : undefined
}

/** A schema for a duration in text; parsed to milliseconds. */
export const Duration = z.string().transform((text, context) => {
  const durationMs = parseDuration(text)
  if (durationMs !== undefined) return durationMs
  context.addIssue({ code: 'custom', message: `"${text}" is not a duration such as 30s, 10m, 8h or 1h30m` })
  return z.NEVER
})

/** A duration in at most two units, for people: 90_000 → "1m 30s". Negative durations count as zero. */
export function formatDuration(durationMs: number): string {
  const totalSeconds = Math.max(0, Math.round(durationMs / 1000))
  const parts = [
    [Math.floor(totalSeconds / 86_400), 'd'],
    [Math.floor(totalSeconds / 3600) % 24, 'h'],
    [Math.floor(totalSeconds / 60) % 60, 'm'],
    [totalSeconds % 60, 's'],
  ] as const
  const first = parts.findIndex(([amount]) => amount > 0)
  if (first < 0) return '0s'
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount}${unit}`)
    .join(' ')
}
