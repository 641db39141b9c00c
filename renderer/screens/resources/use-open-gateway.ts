// Opening a gateway from the resources: one at a time, and then its page.
import { useState } from 'react'
import type { PosternError } from '../../../shared/errors.ts'
import { navigate } from '../../navigation.ts'
import { useCall } from '../../state/call.ts'

type Choice = { resource: string; account: string; database?: string | undefined }
export type OpenGateway = {
  open: (choice: Choice) => Promise<void>
  /** `RESOURCE\nACCOUNT` of the one that is being opened. */
  opening: string | null
  error: PosternError | null
  clearError: () => void
}

/** Gateways that the window opens stay when it closes (`detached`) and come back after a restart. */
export function useOpenGateway(profile: string): OpenGateway {
  const { run, error, reset } = useCall('gateway.open')
  const [opening, setOpening] = useState<string | null>(null)
  const open = async ({ resource, account, database }: Choice): Promise<void> => {
    setOpening(`${resource}\n${account}`)
    const choice = database === undefined || database === '' ? {} : { database }
    const answer = await run({ profile, resource, account, keep: 'detached', ...choice })
    setOpening(null)
    if (answer) navigate({ screen: 'gateways', gateway: answer.gateway.id })
  }
  return { open, opening, error, clearError: reset }
}
