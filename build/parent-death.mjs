// Notices that the process that started us is gone, which no signal tells: `npm` killed by SIGTERM leaves its child
// orphaned. Used by build/start.mjs and demo/. Dependency-free, runs on Node 20.
import { readFileSync } from 'node:fs'

const POLL_MS = 500

function readStat(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return {
      name: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')),
      parent: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]),
    }
  } catch {
    return undefined
  }
}

/**
 * The parent, and behind it npm where a shell that did not `exec` stands between (npm runs scripts through `sh -c`).
 * A changed answer means that one of them died.
 */
function ancestors() {
  const parent = process.ppid
  const stat = process.env.npm_execpath ? readStat(parent) : undefined
  return stat && /^(da|ba|)sh$/.test(stat.name) ? `${parent} ${stat.parent}` : String(parent)
}

/** Calls `onDeath` once when the parent has died; returns a function that stops watching. Keeps no process alive. */
export function onParentDeath(onDeath) {
  const before = ancestors()
  const timer = setInterval(() => {
    if (ancestors() === before) return
    clearInterval(timer)
    onDeath()
  }, POLL_MS)
  timer.unref()
  return () => clearInterval(timer)
}
