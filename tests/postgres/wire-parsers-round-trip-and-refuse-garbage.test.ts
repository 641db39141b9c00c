import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as backend from '../../shared/wire/postgres/backend-messages.ts'
import { sessionExpiredError } from '../../shared/wire/postgres/fatal-errors.ts'
import * as frontend from '../../shared/wire/postgres/frontend-messages.ts'
import { PostgresProtocolError } from '../../shared/wire/postgres/protocol-error.ts'
import * as startup from '../../shared/wire/postgres/startup.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((value) => !value.includes('\0'))
const uint32 = fc.integer({ min: 0, max: 0xffffffff })
const body = (message: Buffer) => message.subarray(5)

describe('round trips', () => {
  it('DB1: startup parameters come back as they went out', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(
          fc.tuple(
            text.filter((name) => name !== ''),
            text,
          ),
          { selector: ([name]) => name },
        ),
        (entries) => {
          const message = startup.encodeStartupMessage(new Map(entries))
          expect(startup.classifyFirstBytes(message)).toEqual({
            kind: 'startup',
            length: message.length,
            major: 3,
            minor: 0,
          })
          expect([...startup.parseStartupMessage(message).parameters]).toEqual(entries)
        },
      ),
    )
  })
  it('DB1: cancel requests and backend keys come back as they went out', () => {
    fc.assert(
      fc.property(uint32, uint32, (processId, secret) => {
        const key = { processId, secret }
        expect(startup.parseCancelRequest(startup.encodeCancelRequest(key))).toEqual(key)
        expect(backend.parseBackendKeyData(body(backend.encodeBackendKeyData(key)))).toEqual(key)
      }),
    )
  })
  it('DB1: error fields come back as they went out', () => {
    fc.assert(
      fc.property(text, text, text, (message, detail, hint) => {
        const fields = { severity: 'FATAL', code: '28000', message, detail, hint } as const
        expect(backend.parseErrorFields(body(backend.encodeErrorResponse(fields)))).toEqual(fields)
      }),
    )
  })
  it('DB1: authentication requests come back as they went out', () => {
    for (const request of [
      { kind: 'ok' },
      { kind: 'cleartext' },
      { kind: 'md5', salt: Buffer.from('salt') },
      { kind: 'sasl', mechanisms: ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'] },
      { kind: 'sasl-continue', data: Buffer.from('r=x') },
      { kind: 'sasl-final', data: Buffer.from('v=x') },
    ] as const)
      expect(backend.parseAuthenticationRequest(body(backend.encodeAuthentication(request as never)))).toEqual(request)
  })
  it('DB1: statements are read as far as they are at hand', () => {
    expect(frontend.parseQuery(Buffer.from('select 1\0'))).toEqual({ sql: 'select 1', isCut: false })
    expect(frontend.parseQuery(Buffer.from('select 1'))).toEqual({ sql: 'select 1', isCut: true })
    expect(frontend.parseParse(Buffer.from('s1\0select $1\0\0\0'))).toEqual({
      name: 's1',
      sql: 'select $1',
      isCut: false,
    })
    expect(frontend.parseBind(Buffer.from('p\0s1\0rest'))).toEqual({ portal: 'p', statement: 's1' })
    const long = 'n'.repeat(80)
    expect(frontend.parseParse(Buffer.from(`${long}\0select 1\0`)).name).toBe(long.slice(0, 63))
    expect(backend.parseCommandTag(Buffer.from('INSERT 0 5\0'))).toEqual({ tag: 'INSERT 0 5', rows: 5 })
    expect(backend.parseCommandTag(Buffer.from('CREATE TABLE\0'))).toEqual({ tag: 'CREATE TABLE', rows: undefined })
  })
})

describe('garbage', () => {
  const parsers = {
    ...Object.fromEntries(Object.entries(frontend).filter(([name]) => name.startsWith('parse'))),
    ...Object.fromEntries(Object.entries(backend).filter(([name]) => name.startsWith('parse'))),
    parseStartupMessage: startup.parseStartupMessage,
    parseCancelRequest: startup.parseCancelRequest,
    classifyFirstBytes: startup.classifyFirstBytes,
  } as unknown as Record<string, (bytes: Buffer) => unknown>

  it.each(Object.keys(parsers))('DB1: %s throws nothing but the protocol error', (name) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          parsers[name]!(Buffer.from(bytes))
        } catch (error) {
          expect(error).toBeInstanceOf(PostgresProtocolError)
        }
      }),
      { numRuns: 300 },
    )
  })

  it.each([
    ['http', 'GET / HTTP/1.1\r\n'],
    ['tls', Buffer.from('1603010200010001fc0303', 'hex')],
    ['other', Buffer.alloc(8, 0xff)],
    ['other', Buffer.alloc(8)],
    ['other', Buffer.from('0000000804d21600', 'hex')],
  ])('DB1: first bytes of %s are told apart from a client', (what, bytes) => {
    expect(startup.classifyFirstBytes(Buffer.from(bytes))).toMatchObject({ kind: 'garbage', what })
  })

  it('DB1: requests without a type byte are told apart', () => {
    expect(startup.classifyFirstBytes(startup.encodeSslRequest()).kind).toBe('ssl')
    expect(startup.classifyFirstBytes(Buffer.from('0000000804d21630', 'hex')).kind).toBe('gss')
    expect(startup.classifyFirstBytes(startup.encodeCancelRequest({ processId: 1, secret: 2 })).kind).toBe('cancel')
    expect(startup.classifyFirstBytes(Buffer.from('0000271400030000', 'hex'))).toMatchObject({
      kind: 'startup',
      length: 10004,
    })
    expect(startup.classifyFirstBytes(Buffer.from('0000271500030000', 'hex')).kind).toBe('garbage')
    expect(startup.classifyFirstBytes(Buffer.from('0000001000020000', 'hex'))).toMatchObject({
      kind: 'startup',
      major: 2,
    })
  })
})

it('G7: the error of an expired session is FATAL 28000 and says which one and where to log in', () => {
  const message = sessionExpiredError({
    resource: 'orders',
    account: 'app',
    profile: 'demo',
    outcome: 'cancelled',
    loginCommand: 'postern login demo.example',
  })
  expect(message.toString('latin1', 0, 1)).toBe('E')
  const fields = backend.parseErrorFields(body(message))
  expect(fields).toMatchObject({ severity: 'FATAL', code: '28000' })
  expect(fields.message).toContain('demo')
  expect(fields.detail).toContain('orders as app')
  expect(fields.hint).toContain('postern login demo.example')
})
