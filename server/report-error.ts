// The other half of a sanitised error text (E1): the cause goes to the server's log under an id that the text carries.
import type { ReportError } from './seams.ts'

/** @param newId makes a short id, e.g. 8 hexadecimal digits */
export const createReportError =
  (newId: () => string): ReportError =>
  (code, cause, log) => {
    const errorId = newId()
    log.error({ err: cause, errorId, code }, 'an error was reported to a client')
    return errorId
  }
