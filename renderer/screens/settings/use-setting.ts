// One setting: shown as it was chosen at once, saved at once, and back to what it was where the core refuses it.
import { useCallback, useEffect, useRef, useState } from 'react'
import type { AppSettings } from '../../../shared/app-state.ts'
import type { PosternError } from '../../../shared/errors.ts'
import { asPosternError, call } from '../../state/call.ts'
import { useApp } from '../../state/selectors.ts'

/** How long "Saved" stays, in ms. */
const SAVED_MS = 2000

export type Setting<K extends keyof AppSettings> = {
  value: AppSettings[K]
  /** Whether the core took it. */
  save(value: AppSettings[K]): Promise<boolean>
  status: 'idle' | 'saving' | 'saved'
  /** Why the last change was undone. */
  error: PosternError | null
}

/** `settings`: what the core has now. */
export function useSetting<K extends keyof AppSettings>(settings: AppSettings, key: K): Setting<K> {
  const [chosen, setChosen] = useState<{ value: AppSettings[K] } | null>(null)
  const [status, setStatus] = useState<'idle' | 'saving' | 'saved'>('idle')
  const [error, setError] = useState<PosternError | null>(null)
  const latest = useRef(0)

  useEffect(() => {
    if (status !== 'saved') return
    const timer = setTimeout(() => setStatus('idle'), SAVED_MS)
    return () => clearTimeout(timer)
  }, [status])

  const save = useCallback(
    async (value: AppSettings[K]) => {
      const mine = ++latest.current
      setChosen({ value })
      setStatus('saving')
      setError(null)
      try {
        await call('settings.update', { [key]: value })
        if (mine === latest.current) setStatus('saved')
        return true
      } catch (failure) {
        if (mine === latest.current) {
          setError(asPosternError(failure))
          setStatus('idle')
        }
        return false
      } finally {
        if (mine === latest.current) setChosen(null)
      }
    },
    [key],
  )
  return { value: chosen ? chosen.value : settings[key], save, status, error }
}

/** The settings of the core; null before it has sent them. */
export const useAppSettings = (): AppSettings | null => useApp((app) => app.settings, null)
