// Asks the person one line in the terminal: hidden for passwords, visible for codes. Used by every command that asks.
// It promises to give the terminal back as it was on every way out: answer, Ctrl-C, withdrawal, error, end of the process.
import { StringDecoder } from 'node:string_decoder'
import { PosternError } from '../shared/errors.ts'
import type { Terminal } from './context.ts'

export type Question = {
  prompt: string
  /** Passwords are not shown while they are typed. */
  hidden: boolean
  /** Withdraws the question; the promise rejects with the signal's reason. */
  signal: AbortSignal
  /** Called once, when the person has begun to answer. */
  onFirstKey?: () => void
}

/** Longest answer that is kept, in characters; nothing that the server takes is longer. */
const MAX_ANSWER = 1024

const CTRL_C = '\u0003'
const CTRL_D = '\u0004'
const CTRL_U = '\u0015'
const ESCAPE = '\u001b'
const BACKSPACES = ['\b', '\u007f']

/** What one key does to the line. `escape` is how far into an escape sequence (arrow keys, paste brackets) we are. */
type Line = { text: string; escape: 'none' | 'begun' | 'sequence' }
type Key = 'typed' | 'done' | 'cancelled'

function pressKey(line: Line, key: string): Key {
  if (line.escape === 'begun') {
    line.escape = key === '[' || key === 'O' ? 'sequence' : 'none'
    return 'typed'
  }
  if (line.escape === 'sequence') {
    // A control sequence ends with a byte from @ to ~ (ECMA-48, 5.4).
    if (key >= '@' && key <= '~') line.escape = 'none'
    return 'typed'
  }
  if (key === '\r' || key === '\n') return 'done'
  if (key === CTRL_C || (key === CTRL_D && line.text === '')) return 'cancelled'
  if (key === ESCAPE) line.escape = 'begun'
  else if (BACKSPACES.includes(key)) line.text = Array.from(line.text).slice(0, -1).join('')
  else if (key === CTRL_U) line.text = ''
  else if (key >= ' ' && line.text.length < MAX_ANSWER) line.text += key
  return 'typed'
}

/**
 * Asks one question on stderr and reads the answer from the terminal in raw mode. What was pasted behind the answer's line
 * end stays for the next question.
 * @throws PosternError `login_cancelled` on Ctrl-C, on Ctrl-D with nothing typed, and when the terminal goes away
 */
export function askInTerminal(terminal: Terminal, question: Question): Promise<string> {
  const { stdin, stderr } = terminal
  return new Promise((resolve, reject) => {
    if (question.signal.aborted) {
      reject(reasonOf(question.signal))
      return
    }
    const decoder = new StringDecoder('utf8')
    const line: Line = { text: '', escape: 'none' }
    let isTouched = false

    const restore = () => {
      stdin.setRawMode?.(false)
      stdin.pause()
    }
    const finish = (settle: () => void) => {
      stdin.off('data', onData)
      stdin.off('end', onEnd)
      stdin.off('error', onEnd)
      question.signal.removeEventListener('abort', onAbort)
      process.off('exit', restore)
      restore()
      stderr.write('\n')
      settle()
    }
    const cancel = () => finish(() => reject(new PosternError('login_cancelled', 'Cancelled at the prompt.')))
    const onEnd = () => cancel()
    const onAbort = () => finish(() => reject(reasonOf(question.signal)))
    const redraw = (before: string) => {
      if (question.hidden || line.text === before) return
      if (line.text.startsWith(before)) stderr.write(line.text.slice(before.length))
      else {
        const removed = Array.from(before).length - Array.from(line.text).length
        stderr.write('\b \b'.repeat(removed))
      }
    }
    const onData = (chunk: Buffer | string) => {
      const keys = Array.from(typeof chunk === 'string' ? chunk : decoder.write(chunk))
      for (const [index, key] of keys.entries()) {
        const before = line.text
        const effect = pressKey(line, key)
        redraw(before)
        if (effect === 'cancelled') {
          cancel()
          return
        }
        if (!isTouched) {
          isTouched = true
          question.onFirstKey?.()
        }
        if (effect !== 'done') continue
        const skip = key === '\r' && keys[index + 1] === '\n' ? 2 : 1
        const rest = keys.slice(index + skip).join('')
        finish(() => resolve(line.text))
        if (rest !== '') stdin.unshift(Buffer.from(rest))
        return
      }
    }

    process.once('exit', restore)
    question.signal.addEventListener('abort', onAbort, { once: true })
    stdin.on('end', onEnd)
    stdin.on('error', onEnd)
    // Raw before the prompt appears: a fast answer must neither be shown nor become a signal.
    stdin.setRawMode?.(true)
    stderr.write(question.prompt)
    stdin.on('data', onData)
    stdin.resume()
  })
}

const reasonOf = (signal: AbortSignal): Error =>
  signal.reason instanceof Error ? signal.reason : new PosternError('login_cancelled', 'The question was withdrawn.')
