// docs/audit.md is made from the catalogue of events; `vitest -u` makes it anew.
import { expect, it } from 'vitest'
import { AUDIT_EVENTS } from '../../shared/audit-api.ts'
import { AUDIT_EVENT_CATALOGUE } from '../../shared/audit-events.ts'
import { documentedAudit } from '../support/documented-audit.ts'

it('R5: docs/audit.md shows every event as it is defined', async () => {
  expect(Object.keys(AUDIT_EVENT_CATALOGUE).sort()).toEqual([...AUDIT_EVENTS].sort())
  await expect(documentedAudit).toMatchFileSnapshot('../../docs/audit.md')
})
