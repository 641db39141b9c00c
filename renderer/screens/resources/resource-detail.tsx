// The selected resource: what it is, and for each account what one may do with it and the gateway that is open, if any.
import { useState } from 'react'
import type { ResourceView } from '../../../shared/resource-api.ts'
import type { GatewayDetail } from '../../../shared/app-state.ts'
import type { PosternError } from '../../../shared/errors.ts'
import { hasAccounts } from '../../../shared/names.ts'
import { Badge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { ErrorLine } from '../../components/empty-state.tsx'
import { Field, SelectField } from '../../components/field.tsx'
import { StateMark } from '../../components/state-mark.tsx'
import { Cell, HeadCell, Table } from '../../components/table.tsx'
import { formatAddress } from '../../format.ts'
import { navigate } from '../../navigation.ts'
import { useIsLive } from '../../state/selectors.ts'
import { texts } from '../../texts.ts'
import { labelsOf } from './filter-resources.ts'
import styles from './resource-detail.module.css'

const ANY = '*'

export function ResourceDetail({
  resource,
  gateways,
  onOpen,
  opening,
  error,
}: {
  resource: ResourceView
  /** Gateways of this resource. */
  gateways: readonly GatewayDetail[]
  onOpen: (account: string, database: string) => void
  opening: string | null
  error: PosternError | null
}) {
  const [account, setAccount] = useState(resource.defaultAccount)
  const [database, setDatabase] = useState('')
  const isLive = useIsLive()
  const gateway = gateways.find((candidate) => candidate.account === account)
  const labels = labelsOf(resource)
  const hasChoice = hasAccounts(resource.protocol)
  const isAny = resource.databases.includes(ANY)

  return (
    <div className={styles.detail}>
      <p className={styles.kind}>{texts.protocol[resource.protocol]}</p>
      <h2 className={styles.name} dir="auto">
        {resource.name}
      </h2>
      {resource.description !== '' && (
        <p className={styles.description} dir="auto" title={resource.description}>
          {resource.description}
        </p>
      )}
      {labels.length > 0 && (
        <ul className={styles.labels} aria-label={texts.resources.labels}>
          {labels.map((label) => (
            <li key={label}>
              <Badge title={label}>{label}</Badge>
            </li>
          ))}
        </ul>
      )}

      <form
        className={styles.open}
        onSubmit={(event) => {
          event.preventDefault()
          if (gateway) navigate({ screen: 'gateways', gateway: gateway.id })
          else onOpen(account, database)
        }}
      >
        {hasChoice && (
          <>
            <SelectField
              label={texts.resources.account}
              value={account}
              onChange={(event) => setAccount(event.target.value)}
              className={styles.choice}
            >
              {resource.accounts.map((name) => (
                <option key={name} value={name}>
                  {name}
                </option>
              ))}
            </SelectField>
            {isAny ? (
              <Field
                label={texts.resources.database}
                placeholder={resource.defaultDatabase}
                value={gateway?.database ?? database}
                disabled={gateway !== undefined}
                maxLength={63}
                onChange={(event) => setDatabase(event.target.value)}
                className={styles.choice}
              />
            ) : (
              <SelectField
                label={texts.resources.database}
                value={gateway?.database ?? (database || resource.defaultDatabase)}
                disabled={gateway !== undefined}
                onChange={(event) => setDatabase(event.target.value)}
                className={styles.choice}
              >
                {[...new Set([...resource.databases, ...(gateway ? [gateway.database] : [])])].map((name) => (
                  <option key={name} value={name}>
                    {name}
                  </option>
                ))}
              </SelectField>
            )}
          </>
        )}
        <Button
          type="submit"
          kind="primary"
          size="large"
          disabled={!isLive}
          isPending={opening === `${resource.name}\n${account}`}
        >
          {gateway ? texts.resources.goToGateway : texts.resources.openGateway}
        </Button>
      </form>
      <ErrorLine error={error} />

      {hasChoice ? (
        <>
          <h3 className={styles.heading}>{texts.resources.accounts}</h3>
          <Table label={texts.resources.accounts}>
            <thead>
              <tr>
                <HeadCell>{texts.resources.account}</HeadCell>
                <HeadCell>{texts.resources.databases}</HeadCell>
                <HeadCell>{texts.resources.gateway}</HeadCell>
              </tr>
            </thead>
            <tbody>
              {resource.accounts.map((name) => {
                const open = gateways.find((candidate) => candidate.account === name)
                const databases = isAny ? texts.resources.anyDatabase : resource.databases.join(', ')
                return (
                  <tr key={name}>
                    <Cell title={name}>
                      <bdi>{name}</bdi>
                      {name === resource.defaultAccount && (
                        <>
                          {' '}
                          <Badge>{texts.resources.default}</Badge>
                        </>
                      )}
                    </Cell>
                    <Cell title={databases} className={styles.quiet}>
                      {databases}
                    </Cell>
                    <Cell>
                      {open ? (
                        <a
                          className={styles.gateway}
                          href={`#/gateways/${encodeURIComponent(open.id)}`}
                          title={texts.gatewayState[open.state]}
                        >
                          <StateMark gateway={open.state} />
                          {formatAddress(open.host, open.port)}
                        </a>
                      ) : (
                        <span className={styles.none}>–</span>
                      )}
                    </Cell>
                  </tr>
                )
              })}
            </tbody>
          </Table>
          <p className={styles.hint}>{texts.resources.accountsHint}</p>
        </>
      ) : (
        <p className={styles.hint}>{texts.resources.asItIsHint}</p>
      )}
    </div>
  )
}
