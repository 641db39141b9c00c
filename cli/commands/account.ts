// `postern account totp` and `postern account password`: what people change about themselves.
import qrcode from 'qrcode'
import { Done } from '../../shared/api.ts'
import { TotpStartResponse } from '../../shared/login-api.ts'
import { PosternError } from '../../shared/errors.ts'
import { askInTerminal } from '../ask-secret.ts'
import { callApi } from '../call-api.ts'
import type { Context } from '../context.ts'
import { readLines } from '../read-stdin.ts'
import { withCore } from '../with-core.ts'

type AccountOptions = { profile?: string; passwordStdin?: boolean }

const mustAsk = (context: Context) => {
  if (!context.terminal.canAsk) throw new PosternError('bad_request', 'This asks questions: run it in a terminal.')
}

const ask = (context: Context, prompt: string, hidden: boolean) =>
  askInTerminal(context.terminal, { prompt, hidden, signal: context.interrupt })

/** Enrols an authenticator: shows the seed as a QR code; it counts only once a code of it came back. */
export async function enrolTotp(context: Context, options: AccountOptions): Promise<void> {
  mustAsk(context)
  await withCore(context, async (core) => {
    const password = await ask(context, 'Your password: ', true)
    const { secret, uri } = await callApi(core, TotpStartResponse, {
      profile: options.profile,
      method: 'POST',
      path: '/v1/account/totp',
      body: { password },
    })
    context.terminal.stdout.write(
      `${await qrcode.toString(uri, { type: 'terminal', small: true })}\nScan this with your authenticator, or type in the seed ${secret}\n`,
    )
    const code = (await ask(context, 'The code that it shows now: ', false)).trim()
    await callApi(core, Done, {
      profile: options.profile,
      method: 'POST',
      path: '/v1/account/totp/confirm',
      body: { code },
    })
    context.terminal.stdout.write('Enrolled: from now on each login asks for a code as well.\n')
  })
}

/** Changes the person's own password. */
export async function changePassword(context: Context, options: AccountOptions): Promise<void> {
  const { current, next } = options.passwordStdin ? await readPair(context) : await askPair(context)
  await withCore(context, async (core) => {
    await callApi(core, Done, {
      profile: options.profile,
      method: 'POST',
      path: '/v1/account/password',
      body: { current, next },
    })
    context.terminal.stdout.write('The password is changed.\n')
  })
}

async function readPair(context: Context): Promise<{ current: string; next: string }> {
  const [current = '', next = ''] = await readLines(context.terminal.stdin)
  if (current === '' || next === '')
    throw new PosternError('bad_request', '--password-stdin wants two lines: the current password and the new one.')
  return { current, next }
}

async function askPair(context: Context): Promise<{ current: string; next: string }> {
  mustAsk(context)
  const current = await ask(context, 'Current password: ', true)
  const next = await ask(context, 'New password (at least 8 characters): ', true)
  if ((await ask(context, 'The same again: ', true)) !== next)
    throw new PosternError('bad_request', 'The two new passwords differ; nothing was changed.')
  return { current, next }
}
