// Entry: stops the core of the home that argv names. Run by the guard of core-guard.ts when the demo was killed.
import { stopCoreForSure } from './core-guard.ts'

const [home] = process.argv.slice(2)
if (home !== undefined) await stopCoreForSure(home)
