// Opens a link in the browser that the person uses. Called by the CLI, on a person's word only (G10).
import { spawn } from 'node:child_process'

/** The system's own opener of links. */
const OPENERS: Partial<Record<NodeJS.Platform, readonly [string, ...string[]]>> = {
  linux: ['xdg-open'],
  darwin: ['open'],
  win32: ['rundll32', 'url.dll,FileProtocolHandler'],
}

/** Starts it and forgets it: what it cannot open, the person opens by hand. */
export function openLink(
  url: string,
  { platform, env }: { platform: NodeJS.Platform; env: NodeJS.ProcessEnv },
): boolean {
  const opener = OPENERS[platform]
  if (!opener) return false
  const [command, ...args] = opener
  const child = spawn(command, [...args, url], { env, detached: true, stdio: 'ignore' })
  child.on('error', () => undefined)
  child.unref()
  return true
}
