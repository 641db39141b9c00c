// What the shell is (Electron or browser host): asked once, kept; for the about page and for what it cannot do.
import { useEffect } from 'react'
import { create } from 'zustand'
import type { ShellResult } from '../../shared/shell.ts'
import { client } from '../transport/connection.ts'
import { useIsLive } from './selectors.ts'

export type ShellDescription = ShellResult<'shell.describe'>
const useShellStore = create<{ shell: ShellDescription | null }>(() => ({ shell: null }))

/** The shell's description; null until it has answered. */
export function useShell(): ShellDescription | null {
  const shell = useShellStore((store) => store.shell)
  const isLive = useIsLive()
  useEffect(() => {
    if (!isLive || useShellStore.getState().shell) return
    client.call('shell.describe', {}).then(
      (description) => useShellStore.setState({ shell: description }),
      () => undefined,
    )
  }, [isLive])
  return shell
}
