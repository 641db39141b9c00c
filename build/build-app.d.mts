// Types of build-app.mjs for the tests.
export function buildAppIfNeeded(options: {
  root: string
  /** Node 24 or newer. */
  node: string
  onStart?: () => void
  signal?: AbortSignal
}): Promise<void>
