// The state machines (D3) walked against their tables, ports (G15, G16), the single flight (G5) and the local-user check (G18)
// as pure units.
import { readdir, readFile } from 'node:fs/promises'
import fc from 'fast-check'
import { pino } from 'pino'
import { expect, it } from 'vitest'
import { postgresUrl } from '../../client/gateways/protocols/postgres/connection-strings.ts'
import { GATEWAY_MACHINE, type GatewayFacts } from '../../client/gateways/gateway-state.ts'
import { portCandidates } from '../../client/gateways/ports.ts'
import { PROFILE_MACHINE, type ProfileFacts } from '../../client/profiles/profile-state.ts'
import { SingleFlight } from '../../client/renewal/single-flight.ts'
import { logSteps, MachineRun, stateOf, UNKNOWN_STEP } from '../../client/state-machine.ts'
import { GatewayState, ProfileView } from '../../shared/rpc.ts'
import { allFacts, followGateway, followProfile, GATEWAY_FACTS, PROFILE_FACTS, walk } from '../support/machines.ts'

it.each([
  ['profile', walk(PROFILE_MACHINE, PROFILE_FACTS, followProfile)],
  ['gateway', walk(GATEWAY_MACHINE, GATEWAY_FACTS, followGateway)],
])('D3: whatever happens to a %s, its table knows the step; and each step of its table can happen', (_name, walked) => {
  expect(walked.unknown).toEqual([])
  expect(walked.neverTaken).toEqual([])
})

it('D3: every state has its rule and its place in the table', () => {
  for (const [machine, states] of [
    [PROFILE_MACHINE, ProfileView.shape.state.options],
    [GATEWAY_MACHINE, GatewayState.options],
  ] as const) {
    expect(Object.keys(machine.transitions).sort()).toEqual([...states].sort())
    expect(machine.rules.map(({ state }) => state).sort()).toEqual([...states].sort())
  }
})

it('D3: no facts of a login that is over look connected', () => {
  const isOver = ({ login }: ProfileFacts): boolean => login === 'none' || login === 'ended' || login === 'over'
  for (const facts of allFacts(PROFILE_FACTS).filter(isOver)) {
    expect(['ready', 'expiring', 'offline']).not.toContain(stateOf(PROFILE_MACHINE, facts))
  }
  for (const facts of allFacts(GATEWAY_FACTS).filter(({ hasLogin }) => !hasLogin)) {
    expect(stateOf(GATEWAY_MACHINE, facts)).not.toBe('listening')
  }
})

it('D3: a step that the table does not know is an error in the log, with both states and the cause', () => {
  const lines: string[] = []
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) })
  const facts: GatewayFacts = {
    listener: 'closed',
    hasLogin: true,
    isHolding: false,
    isCoolingDown: false,
    isRefused: false,
  }
  const run = new MachineRun(GATEWAY_MACHINE, facts, logSteps(log))
  expect(run.look({ ...facts, listener: 'listening' })).toBe('listening')
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    level: 50,
    machine: 'gateway',
    from: 'closed',
    to: 'listening',
    events: ['it listens'],
    msg: UNKNOWN_STEP,
  })
  run.look({ ...facts, listener: 'listening', hasLogin: false })
  expect(JSON.parse(lines[1] ?? '')).toMatchObject({ level: 30, to: 'needs login', events: ['the login is over'] })
})

it('G15 G16: ports are the same for the same names, outside the ephemeral range, and never one that is reserved', () => {
  const ephemeral = { first: 32_768, last: 60_999 }
  const first = portCandidates('home#a', ephemeral, new Set(), 10)
  expect(portCandidates('home#a', ephemeral, new Set(), 10)).toEqual(first)
  expect(portCandidates('home#a', ephemeral, new Set([first[0]!]), 9)).toEqual(first.slice(1))
  fc.assert(
    fc.property(fc.string(), (key) => {
      for (const port of portCandidates(key, ephemeral, new Set(), 5)) {
        expect(port >= 15_000 && port <= 65_535 && (port < ephemeral.first || port > ephemeral.last)).toBe(true)
      }
    }),
  )
})

it('G9: the URL percent-encodes what people may put into account and database names', () => {
  const target = { host: '127.0.0.1', port: 15_432, account: 'o@/wner é', database: 'a?b', connectTimeoutSeconds: 330 }
  const url = new URL(postgresUrl(target))
  expect(decodeURIComponent(url.username)).toBe('o@/wner é')
  expect(decodeURIComponent(url.pathname)).toBe('/a?b')
})

it('G20: the core imports nothing from Electron, React or the server', async () => {
  const root = new URL('../../client/', import.meta.url)
  const files = (await readdir(root, { recursive: true })).filter((file) => file.endsWith('.ts'))
  expect(files.length).toBeGreaterThan(20)
  for (const file of files) {
    const text = await readFile(new URL(file, root), 'utf8')
    expect(text, file).not.toMatch(
      /from '(electron|react|react-dom|zustand)['/]|from '(\.\.\/)+(server|cli|electron|renderer|demo)\//,
    )
  }
})

it('G5: a single flight runs once for all, each leaves alone, and the last one out stops it', async () => {
  const waits: number[] = []
  const flight = new SingleFlight<string>((waiting) => void waits.push(waiting))
  let runs = 0
  let stopped = false
  const never = (abandoned: AbortSignal): Promise<string> => {
    runs += 1
    return new Promise((_, reject) => {
      abandoned.addEventListener('abort', () => {
        stopped = true
        reject(new Error('abandoned'))
      })
    })
  }
  const [one, two] = [new AbortController(), new AbortController()]
  const first = flight.join(never, one.signal)
  const second = flight.join(never, two.signal)
  one.abort(new Error('first left'))
  await expect(first).rejects.toThrow('first left')
  expect(stopped).toBe(false)
  two.abort(new Error('second left'))
  await expect(second).rejects.toThrow('second left')
  expect([runs, stopped, waits]).toEqual([1, true, [1, 2, 1, 0]])
  // The next one starts anew.
  await expect(flight.join(() => Promise.resolve('fresh'), new AbortController().signal)).resolves.toBe('fresh')
})
