// Reads the list of files out of an asar archive (header only). Source: github.com/electron/asar, "Format": two Chromium pickles, the
// first with the header's size, the second with the header as JSON.
import { open } from 'node:fs/promises'

/** Bytes before the JSON: pickle size, header size, pickle size, string length; 32-bit little-endian each. */
const PREFIX_BYTES = 16

/**
 * @param {string} file
 * @returns {Promise<string[]>} paths with `/`, in the archive's order
 */
export async function readAsarList(file) {
  const archive = await open(file)
  try {
    const prefix = Buffer.alloc(PREFIX_BYTES)
    await archive.read(prefix, 0, PREFIX_BYTES, 0)
    const json = Buffer.alloc(prefix.readUInt32LE(12))
    await archive.read(json, 0, json.length, PREFIX_BYTES)
    return pathsOf(JSON.parse(json.toString('utf8')), '')
  } finally {
    await archive.close()
  }
}

/** @param {{files: Record<string, {files?: Record<string, unknown>}>}} folder @param {string} prefix @returns {string[]} */
function pathsOf(folder, prefix) {
  return Object.entries(folder.files).flatMap(([name, entry]) =>
    entry.files === undefined ? [`${prefix}${name}`] : pathsOf(entry, `${prefix}${name}/`),
  )
}
