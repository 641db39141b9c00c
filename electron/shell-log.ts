// The log of the shell itself (HOME/app.log, 0600): refused messages, crashed pages, restarts of the core. Texts are constants of ours and
// causes; nothing that a page or a person typed.
import { createWriteStream, statSync, renameSync } from 'node:fs'

/** A log longer than this is put aside at the next start, in bytes. */
const LOG_MAX_BYTES = 1024 * 1024

export type ShellLog = (text: string, cause?: unknown) => void

export function openShellLog(file: string): ShellLog {
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > LOG_MAX_BYTES) renameSync(file, `${file}.1`)
  const stream = createWriteStream(file, { flags: 'a', mode: 0o600 })
  // A full disk must not end the app.
  stream.on('error', () => undefined)
  return (text, cause) => {
    const why =
      cause instanceof Error ? `${cause.name}: ${cause.message}` : typeof cause === 'string' ? cause : undefined
    stream.write(`${JSON.stringify({ time: new Date().toISOString(), text, cause: why })}\n`)
  }
}
