// Runs one child process in our place: same terminal, signals passed on, same exit code. Used by bin/postern and
// build/start.mjs, because Node 20 cannot replace itself by another program. Dependency-free.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'

/**
 * Whether a Ctrl-C of the terminal reaches the child without our help: then we are in the terminal's foreground group, and
 * passing SIGINT on would deliver it twice. Linux only; elsewhere a terminal on stdin stands for it. Source: proc(5), stat.
 */
function isInForeground() {
  try {
    const stat = readFileSync('/proc/self/stat', 'utf8')
    const [, , processGroup, , , foregroundGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return processGroup === foregroundGroup
  } catch {
    return process.stdin.isTTY === true
  }
}

/**
 * Starts the child and resolves with the exit code for this process once it has ended (128 + signal number if a signal
 * ended it). `onStart` gets the child, for those who want to end it themselves.
 */
export function runChild(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', env: options.env ?? process.env, cwd: options.cwd })
    const passOn = (signal) => {
      if (signal === 'SIGINT' && isInForeground()) return
      child.kill(signal)
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, passOn)
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(name, passOn)
      resolve(code ?? 128 + (constants.signals[signal] ?? 0))
    })
    options.onStart?.(child)
  })
}
