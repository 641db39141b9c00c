// The file in a home that says where its browser host listens and holds the secret with which `postern app` asks it for a
// fresh one-time URL. Written by electron/browser-host, read by launch.ts. Mode 0600: whoever can read it is the person.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'

export const BrowserDoor = z.object({
  pid: z.number().int().positive(),
  /** RANDOM.localhost:PORT, the only Host that is answered. */
  authority: z.string().regex(/^[a-z0-9-]{8,63}\.localhost:\d{1,5}$/),
  port: z.number().int().min(1).max(65535),
  secret: z.string().min(32).max(200),
})
export type BrowserDoor = z.infer<typeof BrowserDoor>

/** Asks the host for a window on this display: the variables that lead there (DISPLAY, WAYLAND_DISPLAY …). */
export const WindowRequest = z.strictObject({ display: z.record(z.string().max(64), z.string().max(4096)) })
export type WindowRequest = z.infer<typeof WindowRequest>

/** What the host gives: a URL that opens the app once, or a window of its own with the app in it. */
export const LaunchTicket = z.union([z.object({ url: z.url() }), z.object({ opened: z.boolean() })])
export type LaunchTicket = z.infer<typeof LaunchTicket>

export type HostPlaces = {
  lockFile: string
  doorFile: string
  logFile: string
  /** 0700: the redirect files that carry a token past the command line, which everybody can read. */
  launchDir: string
  /** Where Chromium keeps its things, apart from the person's own browsing. */
  browserProfileDir: string
}

/** Where a home keeps what belongs to its browser host. */
export const hostPlacesOf = (homeDir: string): HostPlaces => ({
  lockFile: join(homeDir, 'browser-host.lock'),
  doorFile: join(homeDir, 'browser-host.json'),
  logFile: join(homeDir, 'browser-host.log'),
  launchDir: join(homeDir, 'launch'),
  browserProfileDir: join(homeDir, 'browser-profile'),
})

/** The door of a home; undefined if there never was one, or the file is torn. */
export async function readDoor(homeDir: string): Promise<BrowserDoor | undefined> {
  try {
    return BrowserDoor.parse(JSON.parse(await readFile(hostPlacesOf(homeDir).doorFile, 'utf8')))
  } catch {
    return undefined
  }
}
