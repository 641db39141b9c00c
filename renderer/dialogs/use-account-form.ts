// One form of the account dialogs: sends once at a time, and says what is wrong at the field that it belongs to or below.
import { useState, type SubmitEvent } from 'react'
import type { ErrorCode } from '../../shared/errors.ts'
import { flowTexts } from '../flow-texts.ts'
import { asPosternError } from '../state/call.ts'
import { asSentence } from './as-sentence.ts'

/** What is wrong: in what was typed (`field`), or what the server said. */
type Problem = { code: ErrorCode | 'field'; text: string }

export type AccountForm = {
  isPending: boolean
  /** The text for the field that errors of this code belong to; also for what is missing in it. */
  problemAt: (code: ErrorCode) => string | null
  /** What belongs to no field. */
  otherProblem: string | null
  /** The handler of the form. `missing`: why it cannot be sent. */
  submit: (missing: string | null) => (event: SubmitEvent) => void
}

const AT_A_FIELD: readonly ErrorCode[] = ['bad_credentials', 'totp_invalid']

export function useAccountForm(send: () => Promise<void>): AccountForm {
  const [problem, setProblem] = useState<Problem | null>(null)
  const [isPending, setPending] = useState(false)

  const run = async (): Promise<void> => {
    setPending(true)
    setProblem(null)
    try {
      await send()
    } catch (failure) {
      const { code, message } = asPosternError(failure)
      setProblem({ code, text: code === 'bad_credentials' ? flowTexts.account.wrongPassword : asSentence(message) })
    } finally {
      setPending(false)
    }
  }

  return {
    isPending,
    problemAt: (code) => (problem?.code === 'field' || problem?.code === code ? problem.text : null),
    otherProblem: problem && problem.code !== 'field' && !AT_A_FIELD.includes(problem.code) ? problem.text : null,
    submit: (missing) => (event) => {
      event.preventDefault()
      if (missing !== null) setProblem({ code: 'field', text: missing })
      else if (!isPending) void run()
    },
  }
}
