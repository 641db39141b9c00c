// Tells the shell whether the person looks at this page: a login that is asked of a page which nobody looks at gets a window of
// its own in the browser host. Called once by app.tsx.
import { useEffect } from 'react'
import { client } from '../transport/connection.ts'
import { useIsLive } from './selectors.ts'

/** Says it at the start, after each reconnection, and on every change. */
export function useAttention(): void {
  const isLive = useIsLive()
  useEffect(() => {
    if (!isLive || window.postern) return
    let told: boolean | undefined
    const tell = (): void => {
      const isFocused = document.visibilityState === 'visible' && document.hasFocus()
      if (isFocused === told) return
      told = isFocused
      // Lost with its connection, it is said again after the next one.
      client.call('shell.attention', { isFocused }).catch(() => undefined)
    }
    tell()
    window.addEventListener('focus', tell)
    window.addEventListener('blur', tell)
    document.addEventListener('visibilitychange', tell)
    return () => {
      window.removeEventListener('focus', tell)
      window.removeEventListener('blur', tell)
      document.removeEventListener('visibilitychange', tell)
    }
  }, [isLive])
}
