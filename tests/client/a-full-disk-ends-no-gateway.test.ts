// The core's log on a disk that takes nothing: the process goes on without it.
import { closeSync, openSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'

/** Logs while a write has failed and after it, and says at the end that it is still there. */
const LOGGING = `
import { setTimeout as delay } from 'node:timers/promises'
import { createLog } from ${JSON.stringify(new URL('../../client/log.ts', import.meta.url).href)}
const log = createLog('info')
for (let line = 0; line < 5; line++) {
  log.info({ line, padding: 'x'.repeat(20_000) }, 'connected')
  await delay(80)
}
process.stderr.write('still there')
process.exit(0)
`

it('G17: a full disk under the log ends neither the core nor, with it, the gateways', async (context) => {
  context.skip(process.platform !== 'linux', 'only Linux has /dev/full; run it there')
  const full = openSync('/dev/full', 'w')
  try {
    const child = spawn(process.execPath, ['--input-type=module', '-e', LOGGING], {
      stdio: ['ignore', full, 'pipe'],
      timeout: 30_000,
    })
    if (!child.stderr) throw new Error('its standard error was not opened')
    const said = text(child.stderr)
    const [code] = (await once(child, 'exit')) as [number | null]
    expect(await said).toBe('still there')
    expect(code).toBe(0)
  } finally {
    closeSync(full)
  }
})
