// A stand-in for Electron's binary distribution, so that packaging can be tried without downloading it: a program that only says that
// it is none, with the wire of fuses that the real one has, so that electron-builder turns them for real.
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'

/** What @electron/fuses looks for in the binary; then the version of the wire, its length, and a character a fuse. */
export const FUSE_SENTINEL = 'dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX'
/** As Electron 45 ships: runAsNode, cookie encryption, NODE_OPTIONS, inspect, asar integrity, only asar, V8 snapshot, file privileges, wasm. */
const SHIPPED_FUSES = '101100011'

/**
 * Writes the stand-in for Linux.
 * @param {string} folder replaced
 * @param {string} version of Electron
 */
export async function writeStubElectron(folder, version) {
  await rm(folder, { recursive: true, force: true })
  await mkdir(path.join(folder, 'resources'), { recursive: true })
  await mkdir(path.join(folder, 'locales'))
  const wire = Buffer.concat([
    Buffer.from(FUSE_SENTINEL),
    Buffer.from([1, SHIPPED_FUSES.length]),
    Buffer.from(SHIPPED_FUSES),
  ])
  const program = Buffer.concat([
    Buffer.from('#!/bin/sh\necho "this is no Electron"\nexit 1\n# '),
    wire,
    Buffer.from('\n'),
  ])
  const binary = path.join(folder, 'electron')
  await writeFile(binary, program)
  await chmod(binary, 0o755)
  await writeFile(path.join(folder, 'version'), version)
  await writeFile(path.join(folder, 'locales', 'en-US.pak'), '')
}
