// Changing port or database name of a gateway: checked in place, the old port stays if the new one cannot be opened.
import { useState } from 'react'
import type { GatewayDetail } from '../../../shared/app-state.ts'
import { hasAccounts } from '../../../shared/names.ts'
import { Button } from '../../components/button.tsx'
import { Dialog, DialogActions } from '../../components/dialog.tsx'
import { ErrorLine } from '../../components/empty-state.tsx'
import { Field } from '../../components/field.tsx'
import { useCall } from '../../state/call.ts'
import { texts } from '../../texts.ts'
import styles from './change-gateway.module.css'

export function ChangeGateway({ gateway, onClose }: { gateway: GatewayDetail; onClose: () => void }) {
  const [port, setPort] = useState(String(gateway.port))
  const [database, setDatabase] = useState(gateway.database)
  const [isChecked, setChecked] = useState(false)
  const update = useCall('gateway.update')
  const newPort = /^\d{1,5}$/.test(port.trim()) ? Number(port.trim()) : 0
  const isPortGood = newPort >= 1 && newPort <= 65535
  const newDatabase = database.trim()
  const isDatabaseShown = hasAccounts(gateway.protocol)
  const isDatabaseGood = !isDatabaseShown || (newDatabase.length >= 1 && newDatabase.length <= 63)

  const save = async (): Promise<void> => {
    setChecked(true)
    if (!isPortGood || !isDatabaseGood) return
    const change = {
      ...(newPort === gateway.port ? {} : { port: newPort }),
      ...(newDatabase === gateway.database ? {} : { database: newDatabase }),
    }
    if (Object.keys(change).length === 0 || (await update.run({ gateway: gateway.id, ...change }))) onClose()
  }
  return (
    <Dialog
      isOpen
      onClose={onClose}
      title={isDatabaseShown ? texts.gateways.changeTitle : texts.gateways.changePortTitle}
    >
      <form
        className={styles.form}
        noValidate
        onSubmit={(event) => {
          event.preventDefault()
          void save()
        }}
      >
        <Field
          label={texts.gateways.port}
          hint={texts.gateways.portHint}
          error={isChecked && !isPortGood ? texts.gateways.portRule : null}
          inputMode="numeric"
          value={port}
          maxLength={6}
          onChange={(event) => setPort(event.target.value)}
        />
        {isDatabaseShown && (
          <Field
            label={texts.gateways.database}
            hint={texts.gateways.databaseHint}
            error={isChecked && !isDatabaseGood ? texts.gateways.databaseRule : null}
            value={database}
            maxLength={64}
            onChange={(event) => setDatabase(event.target.value)}
          />
        )}
        <ErrorLine error={update.error} />
        <DialogActions>
          <Button size="large" onClick={onClose}>
            {texts.common.cancel}
          </Button>
          <Button size="large" kind="primary" type="submit" isPending={update.isPending}>
            {texts.common.save}
          </Button>
        </DialogActions>
      </form>
    </Dialog>
  )
}
