// A deep link asked for a gateway: nothing happens before the person has said yes.
import { ConfirmDialog } from '../components/confirm-dialog.tsx'
import { navigate } from '../navigation.ts'
import { useCall, usePageEvent } from '../state/call.ts'
import { useOverlays } from '../state/overlays.ts'
import { texts } from '../texts.ts'

export function ConfirmLink() {
  const link = useOverlays((overlays) => overlays.link)
  const open = useCall('gateway.open')
  usePageEvent('shell.confirmLink', (asked) => {
    open.reset()
    useOverlays.setState({ link: asked })
  })
  const close = (): void => useOverlays.setState({ link: null })

  const confirm = async (): Promise<void> => {
    if (!link) return
    const { profile, resource, account } = link
    const answer = await open.run({ profile, resource, keep: 'detached', ...(account === null ? {} : { account }) })
    if (!answer) return
    close()
    navigate({ screen: 'gateways', gateway: answer.gateway.id })
  }
  return (
    <ConfirmDialog
      isOpen={link !== null}
      title={texts.confirmLink.title}
      text={link ? texts.confirmLink.text(link.resource, link.account, link.profile) : ''}
      action={texts.confirmLink.open}
      isDanger={false}
      isPending={open.isPending}
      error={open.error}
      onConfirm={() => void confirm()}
      onCancel={close}
    />
  )
}
