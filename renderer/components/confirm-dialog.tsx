// Asks before something that cannot be undone. Focus starts on Cancel; Escape cancels.
import type { PosternError } from '../../shared/errors.ts'
import { texts } from '../texts.ts'
import { Button } from './button.tsx'
import { Dialog, DialogActions } from './dialog.tsx'
import { ErrorLine } from './empty-state.tsx'

export function ConfirmDialog({
  isOpen,
  title,
  text,
  action,
  isDanger = true,
  isPending = false,
  error = null,
  onConfirm,
  onCancel,
}: {
  isOpen: boolean
  title: string
  text: string
  /** The word on the button that does it. */
  action: string
  isDanger?: boolean
  isPending?: boolean
  error?: PosternError | null
  onConfirm: () => void
  onCancel: () => void
}) {
  return (
    <Dialog isOpen={isOpen} onClose={onCancel} title={title} description={text}>
      <ErrorLine error={error} />
      <DialogActions>
        <Button size="large" onClick={onCancel}>
          {texts.common.cancel}
        </Button>
        <Button size="large" kind={isDanger ? 'danger' : 'primary'} isPending={isPending} onClick={onConfirm}>
          {action}
        </Button>
      </DialogActions>
    </Dialog>
  )
}
