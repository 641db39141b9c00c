// How screens act: `call` makes one call, `useCall` makes it with its state for a button, `askLogin` and `copyText` are
// the two that everybody needs.
import { useCallback, useEffect, useRef, useState } from 'react'
import { PosternError } from '../../shared/errors.ts'
import { client } from '../transport/connection.ts'
import type {
  CallOptions,
  CallParams,
  CallResult,
  PageCall,
  PageEvent,
  PageEventPayload,
} from '../transport/rpc-client.ts'
import { texts } from '../texts.ts'
import { note } from './overlays.ts'

/** One call of the core or the shell. Throws PosternError, whose message may be shown. */
export function call<M extends PageCall>(
  method: M,
  params: CallParams<M>,
  options?: CallOptions,
): Promise<CallResult<M>> {
  return client.call(method, params, options)
}

export type CallState<M extends PageCall> = {
  /** Makes the call; undefined when it failed (see `error`). A second run while one is under way is not made. */
  run: (params: CallParams<M>) => Promise<CallResult<M> | undefined>
  isPending: boolean
  error: PosternError | null
  reset: () => void
}

/** A call with its state, for a button or a form. */
export function useCall<M extends PageCall>(method: M): CallState<M> {
  const [isPending, setPending] = useState(false)
  const [error, setError] = useState<PosternError | null>(null)
  const isRunning = useRef(false)
  const isMounted = useRef(true)
  useEffect(() => {
    isMounted.current = true
    return () => {
      isMounted.current = false
    }
  }, [])
  const run = useCallback(
    async (params: CallParams<M>) => {
      if (isRunning.current) return undefined
      isRunning.current = true
      setPending(true)
      setError(null)
      try {
        return await client.call(method, params)
      } catch (failure) {
        if (isMounted.current) setError(asPosternError(failure))
        return undefined
      } finally {
        isRunning.current = false
        if (isMounted.current) setPending(false)
      }
    },
    [method],
  )
  const reset = useCallback(() => setError(null), [])
  return { run, isPending, error, reset }
}

/** Listens to an event of the core or the shell while the component lives. */
export function usePageEvent<E extends PageEvent>(event: E, listener: (payload: PageEventPayload<E>) => void): void {
  const latest = useRef(listener)
  useEffect(() => {
    latest.current = listener
  })
  useEffect(() => client.on(event, (payload) => latest.current(payload)), [event])
}

/** Puts the login of `profile` before the person now, ahead of time; the dialog opens by the event that follows. */
export function askLogin(profile: string): void {
  client.call('login.ask', { profile }).catch((failure: unknown) => note(asPosternError(failure).message))
}

/** Copies by the page itself where the browser lets it, else through the shell. Whether it worked. */
export async function copyText(text: string): Promise<boolean> {
  try {
    if (window.postern) await client.call('shell.copy', { text })
    else await navigator.clipboard.writeText(text)
    return true
  } catch {
    return false
  }
}

export function asPosternError(failure: unknown): PosternError {
  if (failure instanceof PosternError) return failure
  return new PosternError('internal', texts.connection.unexpected, { cause: failure })
}
