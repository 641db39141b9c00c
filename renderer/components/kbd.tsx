// Keys, as the person's keyboard calls them.
import styles from './kbd.module.css'

const isMac = /mac/i.test(navigator.userAgent)

/** The key that commands go with: ⌘ on a Mac, Ctrl elsewhere. */
export const COMMAND_KEY = isMac ? '⌘' : 'Ctrl'
/** Whether the command key is held in a keyboard event. */
export const hasCommandKey = (event: { metaKey: boolean; ctrlKey: boolean }): boolean =>
  isMac ? event.metaKey : event.ctrlKey

export function Kbd({ children }: { children: string }) {
  return <kbd className={styles.kbd}>{children}</kbd>
}
