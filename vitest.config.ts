// How the tests run: every tests/**/*.test.ts, each file in a process of its own, on Node 24. Used by `npm test` and
// `npx vitest run`.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    globalSetup: ['tests/support/leave-nothing-behind.ts'],
    pool: 'forks',
    // Most of a test's time is another process (PostgreSQL, psql, the access server), so a little over the two cores of CI.
    maxWorkers: 3,
    // For a machine several times slower than ours: what hangs is told earlier, by the deadline of what a test waits for.
    testTimeout: 240_000,
    hookTimeout: 300_000,
    teardownTimeout: 60_000,
    expect: { poll: { timeout: 30_000 } },
    // A test that is left out says why (`context.skip(reason)`), and none is left alone by accident.
    allowOnly: false,
    env: { POSTERN_TEST: '1' },
  },
})
