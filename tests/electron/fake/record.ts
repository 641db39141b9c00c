// Everything that the app did to the system, as the test asks for it (control.ts, `inspect`). Plain data: it crosses a process boundary.
export const record = {
  calls: [] as { what: string; with: unknown }[],
  notifications: [] as { title: string; body: string; open: boolean }[],
  clipboard: '',
  opened: [] as string[],
  /** Page errors and console errors, violations of the content security policy among them. */
  pageErrors: [] as string[],
  /** Answers that dialogs get, first come first served; without one a dialog is cancelled. */
  dialogAnswers: [] as number[],
}

export const note = (what: string, detail: unknown = null): void => void record.calls.push({ what, with: detail })

/** An event that a listener may prevent. */
export type Preventable = { defaultPrevented: boolean; preventDefault(): void }

export function preventable<T extends object>(fields: T): T & Preventable {
  const event = {
    ...fields,
    defaultPrevented: false,
    preventDefault: () => {
      event.defaultPrevented = true
    },
  }
  return event
}
