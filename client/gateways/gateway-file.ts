// The gateways of a home on disk, HOME/gateways.json: their ports are kept for good, and those that were open and detached
// come back at the next start. A file that cannot be read is put aside. Called by gateways.ts.
import { readFile, rename } from 'node:fs/promises'
import { z } from 'zod'
import { AccountName, Name, RESOURCE_PROTOCOLS } from '../../shared/names.ts'
import { writeFileAtomically } from '../atomic-file.ts'

export const StoredGateway = z.strictObject({
  profile: Name,
  resource: Name,
  protocol: z.enum(RESOURCE_PROTOCOLS),
  account: AccountName,
  /** Whose gateway it is; older files do not say it. */
  user: Name.optional(),
  /** Empty where the protocol has none. */
  database: z.string().max(63),
  port: z.number().int().min(1).max(65_535),
  /** Comes back at the next start. */
  isRestored: z.boolean(),
  /** Whether the person has chosen that it asks for a password; as the setting says without. */
  asksPassword: z.boolean().optional(),
  /** The gateway's own password, once it had one; this file is 0600. */
  password: z.string().min(1).max(128).optional(),
  /** Directory or path of its Unix socket. */
  socket: z.string().min(1).max(4096).optional(),
})
export type StoredGateway = z.infer<typeof StoredGateway>

const GatewayFile = z.strictObject({ version: z.literal(1), gateways: z.array(StoredGateway) })

export async function readGatewayFile(
  path: string,
  nowMs: number,
  onProblem: (text: string, cause: unknown) => void,
): Promise<StoredGateway[]> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
  try {
    return GatewayFile.parse(JSON.parse(text)).gateways
  } catch (error) {
    const aside = `${path}.corrupt-${new Date(nowMs).toISOString().replaceAll(/[:.]/g, '-')}`
    await rename(path, aside)
    onProblem(
      `the list of gateways ${path} could not be read and was kept as ${aside}; open your gateways again`,
      error,
    )
    return []
  }
}

export const writeGatewayFile = (path: string, gateways: StoredGateway[]): Promise<void> =>
  writeFileAtomically(path, `${JSON.stringify({ version: 1, gateways }, undefined, 2)}\n`)
