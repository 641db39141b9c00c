// What can go wrong when a cluster is added, told apart: no answer, another fingerprint, something that is no access server.
import { z } from 'zod'
import type { PosternError } from '../../../shared/errors.ts'
import { Callout } from '../../components/callout.tsx'
import { flowTexts } from '../../flow-texts.ts'
import { FingerprintGrid } from './fingerprint-grid.tsx'
import styles from './first-run.module.css'

const words = flowTexts.firstRun

export type AddProblem =
  | { at: 'address'; text: string }
  | { at: null; title: string; help: string; text: string | null }
  | { at: null; title: string; help: string; theirs: string; yours: string }

const Detail = z.object({ fingerprint: z.string() })

/** The fingerprint that the server shows, in an error that says it is not trusted yet; null in any other error. */
export const shownFingerprint = (error: PosternError): string | null =>
  error.code === 'server_untrusted' ? (Detail.safeParse(error.detail).data?.fingerprint ?? null) : null

/** `pin`: the fingerprint that the person gave. */
export function problemOf(error: PosternError, pin: string | undefined): AddProblem {
  const theirs = shownFingerprint(error)
  if (theirs !== null && pin !== undefined) {
    return { at: null, title: words.mismatchTitle, help: words.mismatchHelp, theirs, yours: pin }
  }
  const text = error.message
  switch (error.kind) {
    case 'usage':
      return { at: 'address', text }
    case 'unreachable':
      return error.code === 'core_unreachable'
        ? { at: null, title: words.failedTitle, help: text, text: null }
        : { at: null, title: words.unreachableTitle, help: words.unreachableHelp, text }
    case 'protocol':
      return { at: null, title: words.strangeTitle, help: words.strangeHelp, text }
    case 'misconfigured':
      return error.code === 'server_untrusted'
        ? { at: null, title: words.strangeTitle, help: words.strangeHelp, text }
        : { at: null, title: words.failedTitle, help: text, text: null }
    case 'expired':
    case 'denied':
    case 'conflict':
    case 'not_found':
    case 'cancelled':
    case 'internal':
      return { at: null, title: words.failedTitle, help: text, text: null }
  }
}

export function AddProblemCallout({ problem }: { problem: Extract<AddProblem, { at: null }> }) {
  return (
    <Callout tone="bad" title={problem.title}>
      <p>{problem.help}</p>
      {'theirs' in problem ? (
        <div className={styles.both}>
          <span>{words.mismatchYours}</span>
          <FingerprintGrid fingerprint={problem.yours} other={problem.theirs} label={words.mismatchYours} />
          <span>{words.mismatchTheirs}</span>
          <FingerprintGrid fingerprint={problem.theirs} other={problem.yours} label={words.mismatchTheirs} />
        </div>
      ) : (
        problem.text !== null && (
          <p className={styles.detail} dir="auto">
            {problem.text}
          </p>
        )
      )}
    </Callout>
  )
}
