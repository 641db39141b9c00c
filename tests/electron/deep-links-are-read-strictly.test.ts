// `postern://gateway/PROFILE/RESOURCE[/ACCOUNT]` comes from any page or mail: exactly that, or nothing.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { linkAmong, parseDeepLink } from '../../electron/deep-link.ts'
import { AccountName, Name } from '../../shared/names.ts'

describe('deep links', () => {
  it('D1: a link to a gateway is read', () => {
    expect(parseDeepLink('postern://gateway/demo/orders')).toEqual({
      profile: 'demo',
      resource: 'orders',
      account: null,
    })
    expect(parseDeepLink('postern://gateway/demo.example/orders-db/app%20user')).toEqual({
      profile: 'demo.example',
      resource: 'orders-db',
      account: 'app user',
    })
  })

  it.each([
    'postern:gateway/demo/orders',
    'postern://gateway/demo',
    'postern://gateway/demo/',
    'postern://gateway/demo/orders/',
    'postern://gateway/demo/orders/app/more',
    'postern://gateway//orders',
    'postern://other/demo/orders',
    'postern://user@gateway/demo/orders',
    'postern://gateway:1/demo/orders',
    'postern://gateway/demo/orders?run=1',
    'postern://gateway/demo/orders#x',
    'postern://gateway/../orders',
    'postern://gateway/%2e%2e/orders',
    'postern://gateway/demo/or%2Fders',
    'postern://gateway/DEMO/orders',
    'postern://gateway/demo/orders/%',
    'postern://gateway/demo/orders/%00',
    'postern://gateway/demo/orders/%0a',
    'POSTERN://gateway/demo/orders',
    ' postern://gateway/demo/orders',
    'postern://gateway/demo/orders\n',
    `postern://gateway/demo/${'a'.repeat(64)}`,
    `postern://gateway/demo/orders/${'a'.repeat(2000)}`,
    'https://example.com/postern://gateway/demo/orders',
    '',
  ])('D1: nothing else is: %j', (text) => {
    expect(parseDeepLink(text)).toBeUndefined()
  })

  it('D1: whatever is read has legal names only, and no text makes it throw', () => {
    const part = fc.oneof(fc.string(), fc.stringMatching(/^[a-z0-9._%-]{1,10}$/))
    fc.assert(
      fc.property(fc.array(part, { minLength: 2, maxLength: 4 }), (parts) => {
        const link = parseDeepLink(`postern://gateway/${parts.join('/')}`)
        if (link === undefined) return
        expect(Name.safeParse(link.profile).success && Name.safeParse(link.resource).success).toBe(true)
        expect(link.account === null || AccountName.safeParse(link.account).success).toBe(true)
      }),
    )
  })

  it('D1: among the arguments of a program only a whole link counts, the last one', () => {
    expect(linkAmong(['/usr/bin/postern', '--x=postern://gateway/a/b', 'postern://bad'])).toBeUndefined()
    expect(linkAmong(['postern://gateway/a/b', 'postern://gateway/a/c', 'x'])).toMatchObject({ resource: 'c' })
  })
})
