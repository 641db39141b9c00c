// As server-with-short-timings.ts, and its tunnels ask every second too: whoever sleeps for four loses the connections in them.
import { serve, SHORT_TIMINGS } from './server-with-short-timings.ts'

if (import.meta.main)
  await serve({
    tunnels: { idleMs: 150_000, pingEveryMs: SHORT_TIMINGS.pingEveryMs, pongWithinMs: SHORT_TIMINGS.answerWithinMs },
  })
