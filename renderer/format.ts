// How values look to a person: durations, bytes, times of day, addresses. Pure; every screen uses these and no other.
import { texts } from './texts.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** `5 h 12 min`, `12 min`, `48 s`: two units at most, rounded down, for time left. Input in ms. */
export function formatDuration(ms: number): string {
  if (ms >= DAY) return joined(Math.floor(ms / DAY), 'd', Math.floor((ms % DAY) / HOUR), 'h')
  if (ms >= HOUR) return joined(Math.floor(ms / HOUR), 'h', Math.floor((ms % HOUR) / MINUTE), 'min')
  if (ms >= MINUTE) return `${Math.floor(ms / MINUTE)} min`
  return `${Math.max(0, Math.floor(ms / SECOND))} s`
}

const joined = (first: number, firstUnit: string, second: number, secondUnit: string): string =>
  second === 0 ? `${first} ${firstUnit}` : `${first} ${firstUnit} ${second} ${secondUnit}`

/** `12:41` or `1:02:41`, for a live countdown. Input in ms. */
export function formatClock(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / SECOND))
  const two = (value: number): string => String(value).padStart(2, '0')
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`
}

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']

/** `0 B`, `40 kB`, `1.8 MB`: SI units, as libpq tools and file managers print them. */
export function formatBytes(bytes: number): string {
  const { value, unit } = splitBytes(bytes)
  return `${value} ${unit}`
}

/** The same in two parts, where number and unit look different. */
export function splitBytes(bytes: number): { value: string; unit: string } {
  let size = Math.max(0, bytes)
  let step = 0
  while (size >= 999.5 && step < BYTE_UNITS.length - 1) {
    size /= 1000
    step += 1
  }
  const value = step === 0 || size >= 99.5 ? String(Math.round(size)) : size.toFixed(1)
  return { value, unit: BYTE_UNITS[step] ?? 'B' }
}

/** `09:41` today, `21 Nov, 09:41` before; in the person's locale and time zone. */
export function formatTime(at: string, now: number): string {
  const time = new Date(at)
  const clock = time.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' })
  if (time.toDateString() === new Date(now).toDateString()) return clock
  return `${time.toLocaleDateString(undefined, { day: 'numeric', month: 'short' })}, ${clock}`
}

const TO_THE_SECOND = { hour: '2-digit', minute: '2-digit', second: '2-digit' } as const
/** `09:41:07`, as the person's locale has it. */
export const formatSeconds = (time: Date): string => time.toLocaleTimeString(undefined, TO_THE_SECOND)
/** Whether that has an AM or PM, and takes more room. */
export const HAS_HALF_DAYS = new Intl.DateTimeFormat(undefined, TO_THE_SECOND).resolvedOptions().hour12 === true

/** The whole moment, for titles. */
export const formatMoment = (at: string): string =>
  new Date(at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' })

/** `just now`, `12 s ago`, `5 min ago`. */
export function formatAgo(at: string, now: number): string {
  const ms = now - Date.parse(at)
  return ms < 2 * SECOND ? texts.time.justNow : texts.time.ago(formatDuration(ms))
}

const collator = new Intl.Collator(undefined, { numeric: true })
/** The order of names in lists: by the person's locale, `tenant-2` before `tenant-10`. */
export const byName = (a: string, b: string): number => collator.compare(a, b)

/** HOST:PORT, with brackets around IPv6. */
export const formatAddress = (host: string, port: number): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
