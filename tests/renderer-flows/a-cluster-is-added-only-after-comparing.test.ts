// First run as a new person meets it: the address, the fingerprint compared by pasting or by eye, and every way it can fail.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { PosternError } from '../../shared/errors.ts'
import { groupsOf, readFingerprint } from '../../renderer/screens/first-run/fingerprint.ts'
import type { Responder } from '../renderer/fixture-host.ts'
import { openRenderer, type RendererUnderTest } from '../renderer/browser.ts'
import { appState, profile } from '../renderer/fixture-state.ts'
import { openWindow } from './support/window.ts'

let stage: RendererUnderTest
beforeAll(async () => {
  stage = await openRenderer()
})
afterAll(() => stage.close())

const DIGITS = '9f2b6c41d07ae8535be10c94f7a2d3160e88b4c5a917f36d20cb5e4f71a8d93c'
const FINGERPRINT = `sha256:${DIGITS}`
const nothing = () => appState({ profiles: {}, currentProfile: null, notices: {} }, [])

/** The core: trusts only the right pin. */
const core: Responder = (method, params, host) => {
  if (method !== 'profile.add') return undefined
  const { address, caPin } = Object(params)
  if (address === 'silent')
    throw new PosternError('server_unreachable', 'silent:3443 does not answer: connection refused')
  if (address === 'web') throw new PosternError('protocol', 'web:3443 answered with HTML')
  if (address === 'bad:port') throw new PosternError('bad_request', 'bad:port is no address; write HOST or HOST:PORT')
  if (caPin !== FINGERPRINT) {
    throw new PosternError('server_untrusted', 'not known', { detail: { fingerprint: FINGERPRINT } })
  }
  const added = profile('acme', { state: 'signed out', user: null, level: null, expiresAt: null, remainingMs: null })
  host.patch([
    { path: ['profiles', 'acme'], value: added },
    { path: ['currentProfile'], value: 'acme' },
  ])
  return added
}

it('C8: by keyboard alone: address, paste the fingerprint, trust, and the login is asked', async () => {
  await using window = await openWindow(stage, { state: nothing(), answer: core })
  const { page } = window
  // The address has the focus already.
  await page.keyboard.type('access.acme.example')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Is this the right server?' }).waitFor()
  expect(
    await page
      .getByRole('list', { name: /Fingerprint/ })
      .getByRole('listitem')
      .allInnerTexts(),
  ).toEqual(groupsOf(FINGERPRINT))
  const trust = page.getByRole('button', { name: 'Trust and add' })
  expect(await trust.isDisabled()).toBe(true)
  await page.getByRole('heading', { name: 'Is this the right server?' }).and(page.locator(':focus')).waitFor()
  await page.keyboard.press('Tab')
  await page.keyboard.type(`SHA256:${DIGITS.toUpperCase().replaceAll(/(..)(?!$)/g, '$1:')}`)
  await page.getByText('The same. This is your server.').waitFor()
  await page.keyboard.press('Enter')
  expect(await window.called('login.ask')).toEqual({ profile: 'acme' })
  expect(window.callsOf('profile.add')).toEqual([
    { address: 'access.acme.example' },
    { address: 'access.acme.example', caPin: FINGERPRINT },
  ])
  expect(window.complaints).toEqual([])
})

it('C8: another fingerprint than the pasted one cannot be trusted; compared by eye it can', async () => {
  await using window = await openWindow(stage, { state: nothing(), answer: core })
  const { page } = window
  await page.getByLabel('Address').fill('access.acme.example')
  await page.keyboard.press('Enter')
  const trust = page.getByRole('button', { name: 'Trust and add' })
  const pasted = page.getByLabel('Paste it here')
  await pasted.fill(DIGITS.replace('9', '8'))
  await page.getByText('Not the same. Do not trust this server').waitFor()
  expect(await trust.isDisabled()).toBe(true)
  expect(await page.getByRole('checkbox').isDisabled()).toBe(true)
  await pasted.fill('')
  await page.getByRole('checkbox', { name: 'I have compared' }).check()
  await trust.click()
  await window.called('login.ask')
})

it('C8: a pin that does not match shows both fingerprints; a pin that is none is said before anything is sent', async () => {
  await using window = await openWindow(stage, { state: nothing(), answer: core })
  const { page } = window
  await page.getByLabel('Address').fill('access.acme.example')
  await page.getByLabel('CA fingerprint').fill('abc')
  await page.keyboard.press('Enter')
  await page.getByText('this one has 3').waitFor()
  expect(window.callsOf('profile.add')).toEqual([])
  await page.getByLabel('CA fingerprint').fill(DIGITS.replace('9f2b', '0000'))
  await page.keyboard.press('Enter')
  const alert = page.getByRole('alert').filter({ hasText: 'Not the fingerprint that you gave' })
  await alert.waitFor()
  expect(await alert.locator('mark').allInnerTexts()).toEqual(['0000', '9f2b'])
})

it.each([
  ['silent', 'No answer from there'],
  ['web', 'Something else answers there'],
  ['bad:port', 'bad:port is no address'],
])('E1: %s: the person reads %s', async (address, said) => {
  await using window = await openWindow(stage, { state: nothing(), answer: core })
  await window.page.getByLabel('Address').fill(address)
  await window.page.keyboard.press('Enter')
  await window.page.getByRole('alert').filter({ hasText: said }).waitFor()
})

it('C8: fingerprints are read as people write them', () => {
  const whole = { kind: 'whole', fingerprint: FINGERPRINT }
  expect(readFingerprint(DIGITS)).toEqual(whole)
  expect(readFingerprint(` sha256:${DIGITS}\n`)).toEqual(whole)
  expect(readFingerprint(`SHA-256=${groupsOf(FINGERPRINT).join(' ')}`)).toEqual(whole)
  expect(readFingerprint('  ')).toEqual({ kind: 'empty' })
  expect(readFingerprint(`${DIGITS}0`)).toEqual({ kind: 'length', digits: 65 })
  expect(readFingerprint('my server')).toEqual({ kind: 'strange' })
})
