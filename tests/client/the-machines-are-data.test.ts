// The state machines (D3) walked against their tables, ports (G15, G16), the single flight (G5) and the local-user check (G18)
// as pure units.
import { readdir, readFile } from 'node:fs/promises'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { postgresUrl } from '../../client/gateways/protocols/postgres/connection-strings.ts'
import { GATEWAY_TRANSITIONS, gatewayStateOf, type GatewayFacts } from '../../client/gateways/gateway-state.ts'
import { portCandidates } from '../../client/gateways/ports.ts'
import { PROFILE_TRANSITIONS, profileStateOf, type ProfileFacts } from '../../client/profiles/profile-state.ts'
import { SingleFlight } from '../../client/renewal/single-flight.ts'
import { GatewayState, ProfileView } from '../../shared/rpc.ts'

const gatewayFacts = fc.record<GatewayFacts>({
  listener: fc.constantFrom('starting', 'listening', 'port conflict', 'closed'),
  hasCertificate: fc.boolean(),
  hasLogin: fc.boolean(),
  waiting: fc.nat(3),
  isCoolingDown: fc.boolean(),
  isRefused: fc.boolean(),
})
const profileFacts = fc.record<ProfileFacts>({
  hasCertificate: fc.boolean(),
  isLoggingIn: fc.boolean(),
  isRefused: fc.boolean(),
  isEnded: fc.boolean(),
  isOffline: fc.boolean(),
  remainingMs: fc.integer({ min: -1000, max: 3_600_000 }),
  lifeMs: fc.constant(3_600_000),
})

it('D3: every state of a gateway is reached by facts, and all states have their place in the table', () => {
  const reached = new Set<string>()
  fc.assert(
    fc.property(gatewayFacts, (facts) => void reached.add(gatewayStateOf(facts))),
    { numRuns: 2000 },
  )
  expect([...reached].sort()).toEqual([...GatewayState.options].sort())
  expect(Object.keys(GATEWAY_TRANSITIONS).sort()).toEqual([...GatewayState.options].sort())
})

it('D3: whatever happens to a listening gateway, it moves along its table', () => {
  const listening = gatewayFacts.map((facts): GatewayFacts => ({ ...facts, listener: 'listening' }))
  fc.assert(
    fc.property(listening, gatewayFacts, (before, after) => {
      if (after.listener === 'starting' || after.listener === 'port conflict') return
      const [from, to] = [gatewayStateOf(before), gatewayStateOf(after)]
      if (from !== to) expect(GATEWAY_TRANSITIONS[from]).toContain(to)
    }),
  )
})

it('D3: a profile never looks connected when expired, and reaches every state', () => {
  const reached = new Set<string>()
  fc.assert(
    fc.property(profileFacts, (facts) => {
      const state = profileStateOf(facts)
      reached.add(state)
      const isOver = !facts.hasCertificate || facts.isEnded || facts.remainingMs <= 0
      if (isOver) expect(['ready', 'expiring', 'offline']).not.toContain(state)
    }),
    { numRuns: 5000 },
  )
  const states = [...ProfileView.shape.state.options].sort()
  expect([...reached].sort()).toEqual(states)
  expect(Object.keys(PROFILE_TRANSITIONS).sort()).toEqual(states)
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
