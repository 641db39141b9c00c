// Four facts of a session that change while one looks: connections, what moved, how long nothing did, and when its limits end it.
import type { SessionView } from '../../../shared/session-api.ts'
import { Fact, FactList } from '../../components/facts.tsx'
import { formatBytes, formatDuration, formatMoment, formatTime, splitBytes } from '../../format.ts'
import { msUntil } from '../../state/selectors.ts'
import { useNow } from '../../state/use-now.ts'
import { texts } from '../../texts.ts'
import { idleMs, lastedMs } from './session-words.ts'

const words = texts.sessions
const NOTHING = '–'

export function SessionFacts({ session, clockOffsetMs }: { session: SessionView; clockOffsetMs: number }) {
  const now = useNow()
  const isOver = session.state === 'ended'
  const toClient = splitBytes(session.bytesToClient)
  const local = (at: string): string => new Date(Date.parse(at) - clockOffsetMs).toISOString()
  return (
    <FactList isEven>
      <Fact name={words.factConnections} value={String(isOver ? session.connectionsTotal : session.connections)}>
        {isOver ? words.factInAll : words.factOf(session.connectionsTotal)}
      </Fact>
      <Fact name={words.factTraffic} value={toClient.value} unit={toClient.unit}>
        {words.factFrom(formatBytes(session.bytesFromClient))}
      </Fact>
      {isOver ? (
        <>
          <Fact name={words.factStatements} value={String(session.statements)}>
            {session.lastStatementAt === null
              ? words.noStatement
              : words.lastStatement(formatTime(local(session.lastStatementAt), now))}
          </Fact>
          <Fact
            name={words.factLasted}
            value={formatDuration(lastedMs(session, now + clockOffsetMs))}
            title={session.endedAt === null ? undefined : formatMoment(local(session.endedAt))}
          >
            {session.lastActivityAt === null ? words.factIdleNone : lastActivity(local(session.lastActivityAt), now)}
          </Fact>
        </>
      ) : (
        <>
          <Idle session={session} now={now} clockOffsetMs={clockOffsetMs} />
          <Limit endsAt={session.endsAt} now={now} clockOffsetMs={clockOffsetMs} />
        </>
      )}
    </FactList>
  )
}

const lastActivity = (at: string, now: number): string => `${words.factLast}: ${formatTime(at, now)}`

function Idle({ session, now, clockOffsetMs }: { session: SessionView; now: number; clockOffsetMs: number }) {
  const idle = idleMs(session, now + clockOffsetMs)
  const left = msUntil(session.idleEndsAt, now, clockOffsetMs)
  return (
    <Fact name={words.factIdle} value={idle === null ? NOTHING : formatDuration(idle)}>
      {left !== null ? words.factIdleEnds(formatDuration(left)) : words.factIdleNoLimit}
    </Fact>
  )
}

function Limit({ endsAt, now, clockOffsetMs }: { endsAt: string | null; now: number; clockOffsetMs: number }) {
  const left = msUntil(endsAt, now, clockOffsetMs)
  if (left === null || endsAt === null)
    return (
      <Fact name={words.factLeft} value={words.factNoLimit}>
        {words.factNoLimitNote}
      </Fact>
    )
  const at = new Date(Date.parse(endsAt) - clockOffsetMs).toISOString()
  return (
    <Fact name={words.factLeft} value={formatDuration(left)} title={formatMoment(at)}>
      {words.factEndsAt(formatTime(at, now))}
    </Fact>
  )
}
