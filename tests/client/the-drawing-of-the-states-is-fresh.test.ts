// docs/states.md is drawn from the data of the state machines; `vitest -u` draws it anew.
import { expect, it } from 'vitest'
import { GATEWAY_MACHINE } from '../../client/gateways/gateway-state.ts'
import { PROFILE_MACHINE } from '../../client/profiles/profile-state.ts'
import { drawnMachines } from '../support/drawn-machines.ts'

it('D3: docs/states.md shows the machines as they are', async () => {
  await expect(drawnMachines(PROFILE_MACHINE, GATEWAY_MACHINE)).toMatchFileSnapshot('../../docs/states.md')
})
