// The one connection of this page to its shell; everything that calls or listens goes through `client`.
import { texts } from '../texts.ts'
import { pickTransport } from './page-transport.ts'
import { createRpcClient } from './rpc-client.ts'

const { transport, isOpen } = pickTransport()

export const client = createRpcClient(transport, {
  isOpen,
  unreachableText: texts.connection.unreachable,
  lateText: texts.connection.late,
})
