// Runs after the last test file (vitest's globalSetup): removes what test files share and none of them may remove alone.
import { removeBuiltApps } from '../electron/built.ts'

export const teardown = (): Promise<void> => removeBuiltApps()
