// `npm run package`: builds the app, packs it unpacked with electron-builder (offline; against Electron's distribution if it is installed,
// else a stand-in), and checks what is inside. `-- --installers` makes the installers of this platform instead; `-- --out DIR`
// packs somewhere else than dist/, `-- --built DIR` packs what was built there. Ends with code 1 and a sentence if something is missing or too much.
import { spawn } from 'node:child_process'
import { access, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { findNode, missingNodeText, root } from './find-node.mjs'
import { readAsarList } from './asar-list.mjs'
import { FUSE_SENTINEL, writeStubElectron } from './stub-electron.mjs'

const { values } = parseArgs({
  options: {
    installers: { type: 'boolean', default: false },
    out: { type: 'string' },
    built: { type: 'string' },
  },
})
const node = findNode()

/** Must be in the packed app. */
const WANTED = [
  'package.json',
  'out/main/main.js',
  'out/main/core.js',
  'out/preload/preload.cjs',
  'out/renderer/index.html',
  'build/icons/tray.png',
]
/** Must not: other people's Node binaries, sources, tests. */
const UNWANTED = /^node_modules\/|\.ts$|\.map$|^tests\/|^server\/|^demo\//
/** An optional dependency: an app without it asks the kernel in a slower way. */
const KOFFI = `node_modules/@koromix/koffi-linux-${process.arch}`
/** Where that is installed, must lie beside the archive: the system loads it. */
const WANTED_BESIDE = `koffi/linux_${process.arch}/koffi.node`
/** runAsNode, cookie encryption, NODE_OPTIONS, inspect, asar integrity, only asar, V8 snapshot, file privileges; see electron-builder.yml. */
const WANTED_FUSES = '01001100'

/** @param {string} file */
const isThere = (file) =>
  access(file).then(
    () => true,
    () => false,
  )

/** @param {string} program @param {string[]} args */
function run(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(node ?? process.execPath, [path.join(root, 'node_modules', program), ...args], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    child.once('error', reject)
    child.once('exit', (code) =>
      code === 0 ? resolve(undefined) : reject(new Error(`${program} ended with code ${code}`)),
    )
  })
}

/** @param {string} unpacked the folder with the app's binary */
async function check(unpacked) {
  const files = await readAsarList(path.join(unpacked, 'resources', 'app.asar'))
  const missing = WANTED.filter((file) => !files.includes(file))
  const tooMuch = files.filter((file) => UNWANTED.test(file))
  const isBesideWanted = await isThere(path.join(root, KOFFI))
  if (isBesideWanted && !(await isThere(path.join(unpacked, 'resources', WANTED_BESIDE)))) missing.push(WANTED_BESIDE)
  if (missing.length > 0) throw new Error(`the packed app lacks ${missing.join(', ')}`)
  if (tooMuch.length > 0) throw new Error(`the packed app has what it should not: ${tooMuch.slice(0, 5).join(', ')}`)
  const binary = await readFile(path.join(unpacked, 'postern'))
  const at = binary.indexOf(FUSE_SENTINEL)
  const fuses = binary.subarray(at + FUSE_SENTINEL.length + 2).toString('latin1', 0, WANTED_FUSES.length)
  if (at < 0 || fuses !== WANTED_FUSES) throw new Error(`the fuses are ${fuses}, not ${WANTED_FUSES}`)
  return files
}

/** A project folder with nothing but what is packed: no node_modules, and none named. @param {string} project @param {string} built */
async function writeProject(project, built) {
  await mkdir(project)
  const { name, version, description, license, type, main } = JSON.parse(
    await readFile(path.join(root, 'package.json'), 'utf8'),
  )
  const manifest = { name, version, description, license, type, main, author: 'Postern contributors' }
  await writeFile(path.join(project, 'package.json'), JSON.stringify(manifest, undefined, 2))
  await cp(path.join(root, 'electron-builder.yml'), path.join(project, 'electron-builder.yml'))
  await cp(path.join(root, 'build'), path.join(project, 'build'), { recursive: true })
  await cp(built, path.join(project, 'out'), { recursive: true })
  if (await isThere(path.join(root, KOFFI)))
    await cp(path.join(root, KOFFI), path.join(project, KOFFI), { recursive: true })
}

async function main() {
  if (!node) throw new Error(missingNodeText)
  if (values.built === undefined) await run('electron-vite/bin/electron-vite.js', ['build'])
  const builder = 'electron-builder/cli.js'
  if (values.installers) {
    await run(builder, ['--publish', 'never'])
    return
  }
  const { version } = JSON.parse(await readFile(path.join(root, 'node_modules/electron/package.json'), 'utf8'))
  const out = path.resolve(values.out ?? path.join(root, 'dist'))
  const scratch = await mkdtemp(path.join(tmpdir(), 'postern-package-'))
  try {
    let dist = path.join(root, 'node_modules/electron/dist')
    const isReal = await isThere(path.join(dist, 'electron'))
    if (!isReal) {
      dist = path.join(scratch, 'electron')
      await writeStubElectron(dist, version)
    }
    const project = path.join(scratch, 'project')
    await writeProject(project, values.built ?? path.join(root, 'out'))
    await run(builder, [
      `--projectDir=${project}`,
      '--dir',
      '--linux',
      '--publish',
      'never',
      `-c.electronDist=${dist}`,
      `-c.directories.output=${out}`,
      `-c.electronVersion=${version}`,
    ])
    const unpacked = path.join(out, process.arch === 'arm64' ? 'linux-arm64-unpacked' : 'linux-unpacked')
    const files = await check(unpacked)
    const on = isReal ? 'Electron' : "a stand-in for Electron, whose binary isn't installed here"
    process.stdout.write(`packed ${files.length} files on ${on}: ${unpacked}\n`)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

main().catch((error) => {
  process.stderr.write(`npm run package: ${error.message}\n`)
  process.exit(1)
})
