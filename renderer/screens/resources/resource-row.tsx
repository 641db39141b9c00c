// One row of the list of resources: name, what it is, and whether it is open already.
import type { ResourceView } from '../../../shared/resource-api.ts'
import type { GatewayDetail } from '../../../shared/app-state.ts'
import { hasAccounts } from '../../../shared/names.ts'
import { StateMark } from '../../components/state-mark.tsx'
import { texts } from '../../texts.ts'
import styles from './resource-row.module.css'

export function ResourceRow({ resource, gateway }: { resource: ResourceView; gateway: GatewayDetail | null }) {
  const kind = texts.protocol[resource.protocol]
  const what = hasAccounts(resource.protocol) ? texts.resources.kindAndAccounts(kind, resource.accounts.length) : kind
  const about = resource.description || what
  return (
    <span className={styles.row}>
      <span className={styles.name} dir="auto" title={resource.name}>
        {resource.name}
      </span>
      {gateway && (
        <span className={styles.port}>
          <StateMark gateway={gateway.state} />
          {texts.resources.openAtPort(gateway.port)}
        </span>
      )}
      <span className={styles.about} dir="auto" title={about}>
        {about}
      </span>
    </span>
  )
}
