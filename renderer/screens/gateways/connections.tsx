// Who is connected now: program, since when, bytes both ways, when it last sent something.
import type { ConnectionView, GatewayDetail } from '../../../shared/app-state.ts'
import { Badge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Cell, HeadCell, Table } from '../../components/table.tsx'
import { formatAgo, formatBytes, formatMoment, formatTime } from '../../format.ts'
import { asPosternError, call } from '../../state/call.ts'
import { note } from '../../state/overlays.ts'
import { useNow } from '../../state/use-now.ts'
import { texts } from '../../texts.ts'
import { showSessions } from '../sessions/sessions-view.ts'
import styles from './connections.module.css'

export function Connections({ gateway }: { gateway: GatewayDetail }) {
  const list = gateway.connectionList
  const more = gateway.connections - list.length
  return (
    <section aria-labelledby="connected-now">
      <header className={styles.head}>
        <h3 id="connected-now">{texts.gateways.connectedNow}</h3>
        <Button size="small" onClick={() => showSessionOf(gateway)}>
          {texts.gateways.showSession}
        </Button>
      </header>
      {list.length === 0 ? (
        <p className={styles.nobody}>{texts.gateways.nobody}</p>
      ) : (
        <Table label={texts.gateways.connectedNow} className={styles.table}>
          <thead>
            <tr>
              <HeadCell>{texts.gateways.program}</HeadCell>
              <HeadCell isNumeric>{texts.gateways.since}</HeadCell>
              <HeadCell isNumeric>{texts.gateways.bytesIn}</HeadCell>
              <HeadCell isNumeric>{texts.gateways.bytesOut}</HeadCell>
              <HeadCell isNumeric>{texts.gateways.lastActive}</HeadCell>
            </tr>
          </thead>
          <tbody>
            {list.map((connection) => (
              <Row key={connection.id} connection={connection} />
            ))}
          </tbody>
        </Table>
      )}
      {list.length > 0 && more > 0 && <p className={styles.nobody}>{texts.gateways.moreConnections(more)}</p>}
    </section>
  )
}

/** All connections of a gateway are one session, of the cluster that it belongs to. */
function showSessionOf({ profile, resource, account, protocol }: GatewayDetail): void {
  call('profile.select', { profile }).then(
    () => showSessions({ only: { resource, account, protocol } }),
    (failure: unknown) => note(asPosternError(failure).message),
  )
}

function Row({ connection }: { connection: ConnectionView }) {
  const now = useNow()
  const { client, lastActiveAt, since, state } = connection
  return (
    <tr>
      <Cell title={client ?? texts.gateways.unnamed}>
        <bdi className={client === null ? styles.unnamed : undefined}>{client ?? texts.gateways.unnamed}</bdi>
        {state !== 'open' && (
          <>
            {' '}
            <Badge>{state === 'held' ? texts.gateways.held : texts.gateways.connecting}</Badge>
          </>
        )}
      </Cell>
      <Cell isNumeric title={formatMoment(since)}>
        {formatTime(since, now)}
      </Cell>
      <Cell isNumeric>{formatBytes(connection.bytesIn)}</Cell>
      <Cell isNumeric>{formatBytes(connection.bytesOut)}</Cell>
      <Cell isNumeric title={lastActiveAt === null ? undefined : formatMoment(lastActiveAt)}>
        {lastActiveAt === null ? texts.gateways.never : formatAgo(lastActiveAt, now)}
      </Cell>
    </tr>
  )
}
