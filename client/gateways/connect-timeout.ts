// How long a client itself should wait for its connection, for the strings that people copy (G9). Pure; called by gateway.ts.

/** Seconds that a client waits longer than the core ever holds it: dial, login and reissue come on top of the wait. */
const MARGIN_SECONDS = 30

/** Seconds; outlasts the longest wait for a login. */
export const connectTimeoutFor = (loginHardLimitMs: number): number =>
  Math.ceil(loginHardLimitMs / 1000) + MARGIN_SECONDS
