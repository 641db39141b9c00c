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

/** A way in, good for one use: a URL to give to a person, or a 0600 file that leads a browser there. */
export const LaunchTicket = z.union([z.object({ url: z.url() }), z.object({ file: z.string().min(1) })])

export type HostPlaces = {
  lockFile: string
  doorFile: string
  logFile: string
  /** 0700: the redirect files that carry a token past the command line, which everybody can read. */
  launchDir: string
}

/** Where a home keeps what belongs to its browser host. */
export const hostPlacesOf = (homeDir: string): HostPlaces => ({
  lockFile: join(homeDir, 'browser-host.lock'),
  doorFile: join(homeDir, 'browser-host.json'),
  logFile: join(homeDir, 'browser-host.log'),
  launchDir: join(homeDir, 'launch'),
})

/** The door of a home; undefined if there never was one, or the file is torn. */
export async function readDoor(homeDir: string): Promise<BrowserDoor | undefined> {
  try {
    return BrowserDoor.parse(JSON.parse(await readFile(hostPlacesOf(homeDir).doorFile, 'utf8')))
  } catch {
    return undefined
  }
}
