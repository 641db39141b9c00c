// The logins that this page was asked to put before its person, in the order in which they came, and how far each got.
// Fed by the core's events and by reconnections, read and acted on by login-dialog.tsx. One dialog at a time: the first.
import { create } from 'zustand'
import type { EventPayload, LoginPrompt } from '../../shared/rpc.ts'
import { flowTexts } from '../flow-texts.ts'
import { asPosternError, call } from '../state/call.ts'
import { note } from '../state/overlays.ts'
import { useMirror } from '../state/store.ts'
import { client } from '../transport/connection.ts'

export type LoginTask = {
  prompt: LoginPrompt
  /** The person has begun to fill it in, and the core knows (G8). */
  isTouched: boolean
  wrongPasswords: number
  /** The request is over, but the person was typing: it stays as an ordinary login (G8). */
  isOver: boolean
}

type LoginQueue = { tasks: readonly LoginTask[] }
export const useLoginQueue = create<LoginQueue>(() => ({ tasks: [] }))

const find = (requestId: string): LoginTask | undefined =>
  useLoginQueue.getState().tasks.find((task) => task.prompt.requestId === requestId)

function change(requestId: string, changes: Partial<LoginTask>): void {
  useLoginQueue.setState(({ tasks }) => ({
    tasks: tasks.map((task) => (task.prompt.requestId === requestId ? { ...task, ...changes } : task)),
  }))
}

function remove(requestId: string): void {
  useLoginQueue.setState(({ tasks }) => ({ tasks: tasks.filter((task) => task.prompt.requestId !== requestId) }))
}

/** Puts a login before the person; one that is there already is brought up to date. */
function enqueue(prompt: LoginPrompt): void {
  if (find(prompt.requestId)) {
    change(prompt.requestId, { prompt })
    return
  }
  const task: LoginTask = { prompt, isTouched: false, wrongPasswords: 0, isOver: false }
  useLoginQueue.setState(({ tasks }) => ({
    // A request that is over only stayed for what was typed into it; a new one of that profile takes its place.
    tasks: [...tasks.filter((other) => !(other.isOver && other.prompt.profile === prompt.profile)), task],
  }))
}

/** Takes a request over from another page of this person; @throws PosternError if it is over or being filled in there. */
export async function takeLogin(login: { profile: string; requestId: string }): Promise<void> {
  // The answer itself, since the event for it may come later.
  enqueue(await call('login.ask', login))
}

function close({ requestId, outcome, text }: EventPayload<'login.closed'>): void {
  const task = find(requestId)
  if (!task) return
  // The person is still at the identity provider: the dialog stays and goes on as a login that nobody waits for.
  const step = useMirror.getState().app?.logins[requestId]?.ssoProgress?.step
  if (outcome === 'timed out' && (step === 'browser' || step === 'returned')) {
    change(requestId, { isOver: true, prompt: { ...task.prompt, waiting: 0 } })
    call('login.ask', { profile: task.prompt.profile }).catch(() => undefined)
    return
  }
  // With a text it was taken away on purpose: another window has it now.
  if (task.isTouched && (outcome === 'timed out' || (outcome === 'withdrawn' && text === null))) {
    change(requestId, { isOver: true, prompt: { ...task.prompt, waiting: 0 } })
    return
  }
  remove(requestId)
  note(flowTexts.login.closed(task.prompt.profile, outcome, text))
}

/** The first key: the request stays open from now on, even if those who wait hang up (G8). */
export function touchLogin(task: LoginTask): void {
  if (task.isTouched) return
  change(task.prompt.requestId, { isTouched: true })
  // Refused or lost, it is only the withdrawal that is not held up; the login itself does not depend on it.
  call('login.touch', { requestId: task.prompt.requestId }).catch(() => undefined)
}

export type Credentials = { user: string; password: string; totp: string; setupCode: string }

/** Logs in and closes the dialog. @throws PosternError as the server says; the dialog stays */
export async function submitLogin(task: LoginTask, credentials: Credentials): Promise<void> {
  const { requestId, profile } = task.prompt
  const { user, password, totp, setupCode } = credentials
  try {
    await call('login.submit', {
      profile,
      user,
      password,
      ...(totp === '' ? {} : { totp }),
      ...(setupCode === '' ? {} : { setupCode }),
      ...(task.isOver ? {} : { requestId }),
    })
  } catch (failure) {
    const error = asPosternError(failure)
    if (error.code === 'bad_credentials') change(requestId, { wrongPasswords: task.wrongPasswords + 1 })
    throw error
  }
  // Closed already where the core's event was faster than its answer.
  if (!find(requestId)) return
  remove(requestId)
  note(flowTexts.login.closed(profile, 'succeeded', null))
}

/**
 * Begins the login in the browser, or begins it anew. In a browser this page opens the link itself; in the desktop app the shell does
 * it, with the link that the core gave. Called on a click only (G10). @throws PosternError; the dialog stays
 */
export async function beginSso(task: LoginTask): Promise<void> {
  const { profile } = task.prompt
  // A request that is over has nothing to show the progress of: a new one takes its place.
  const requestId = task.isOver ? (await call('login.ask', { profile })).requestId : task.prompt.requestId
  const { url } = await call('login.sso', { profile, requestId })
  if (!window.postern) window.open(url, '_blank', 'noopener,noreferrer')
}

/** Whether nobody would notice a cancel. */
export const isCancelHarmless = ({ isOver, prompt }: LoginTask): boolean =>
  isOver || prompt.waiting === 0 || prompt.reason.kind !== 'connection'

/** The person says no: everybody who waits gets an error in its own protocol (G7). */
export function cancelLogin(task: LoginTask): void {
  const { requestId } = task.prompt
  remove(requestId)
  if (task.isOver) return
  const outcome = task.wrongPasswords >= WRONG_PASSWORDS ? 'failed' : 'cancelled'
  call('login.cancel', { requestId, outcome }).catch((failure: unknown) => note(asPosternError(failure).message))
}

/** So many wrong passwords, and the dialog says that it may be better to stop. */
export const WRONG_PASSWORDS = 3

/** The core's requests after a reconnection: those that are gone close, or stay as ordinary logins if something was typed. */
function reconcile(): void {
  const pending = useMirror.getState().app?.logins ?? {}
  for (const { prompt, isTouched } of useLoginQueue.getState().tasks) {
    if (pending[prompt.requestId]) continue
    if (isTouched) change(prompt.requestId, { isOver: true, prompt: { ...prompt, waiting: 0 } })
    else remove(prompt.requestId)
  }
  // Electron's window is one host over all its reloads: nobody asks it a second time. A page of a browser is asked anew.
  if (window.postern) {
    for (const login of Object.values(pending)) if (login.asked === 'window') enqueue(login)
  }
}

// From the first moment on, since a request may come before anything is drawn.
client.on('login.requested', enqueue)
client.on('login.updated', (prompt) => {
  if (find(prompt.requestId)) change(prompt.requestId, { prompt })
})
client.on('login.closed', close)
useMirror.subscribe((mirror, before) => {
  if (mirror.link === 'live' && before.link !== 'live') reconcile()
})
