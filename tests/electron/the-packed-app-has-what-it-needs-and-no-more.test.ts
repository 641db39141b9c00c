// `npm run package`: electron-builder packs the built app offline, on a stand-in where Electron's binary is missing; the script itself checks
// the archive and the fuses, so here it has to succeed, and to fail where it should.
import { access, cp, mkdtemp, rm } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readAsarList } from '../../build/asar-list.mjs'
import { run } from '../support/run.ts'
import { builtApp, root } from './built.ts'

const pack = (built: string, out: string) =>
  run(process.execPath, [join(root, 'build/package.mjs'), '--built', built, '--out', out], { cwd: root })

describe('the packed app', () => {
  it('D1: has main, core, preload and renderer in its archive, no dependency, no source, and its fuses turned', async (context) => {
    if (process.platform !== 'linux') context.skip('packs for Linux only; run it there')
    const out = await mkdtemp(join(tmpdir(), 'postern-packed-'))
    try {
      const packed = await pack(await builtApp('real'), out)
      expect(packed, packed.stdout + packed.stderr).toMatchObject({ code: 0 })
      expect(packed.stdout).toMatch(/packed \d+ files on /)
      const folder = process.arch === 'arm64' ? 'linux-arm64-unpacked' : 'linux-unpacked'
      const files = await readAsarList(join(out, folder, 'resources', 'app.asar'))
      expect(files).toEqual(expect.arrayContaining(['out/main/main.js', 'out/main/core.js', 'out/renderer/index.html']))
      expect(
        files.filter((file) => !/^(out\/(main|preload|renderer)\/|build\/icons\/|package\.json$)/.test(file)),
      ).toEqual([])
      // G18: asks whose a connection is; the system loads it, so it cannot lie in the archive.
      const native = `node_modules/@koromix/koffi-linux-${process.arch}/linux_${process.arch}`
      if (existsSync(join(root, native, 'koffi.node')))
        await access(join(out, folder, 'resources', `koffi/linux_${process.arch}/koffi.node`))
    } finally {
      await rm(out, { recursive: true, force: true })
    }
  })

  it('D1: a build without its preload is refused, with what is missing', async (context) => {
    if (process.platform !== 'linux') context.skip('packs for Linux only; run it there')
    const scratch = await mkdtemp(join(tmpdir(), 'postern-packed-'))
    try {
      const built = join(scratch, 'built')
      await cp(await builtApp('fixture'), built, { recursive: true })
      await rm(join(built, 'preload'), { recursive: true })
      const packed = await pack(built, join(scratch, 'out'))
      expect(packed.code).toBe(1)
      expect(packed.stderr).toContain('the packed app lacks out/preload/preload.cjs')
    } finally {
      await rm(scratch, { recursive: true, force: true })
    }
  })
})
