// Reads what the access server's API answered through the core, for the commands that administer or look at the server.
import type { z } from 'zod'
import { PosternError } from '../shared/errors.ts'
import type { Params } from '../shared/rpc.ts'
import type { Core } from './context.ts'

/** @throws PosternError `protocol` for an answer that is not what the API promises */
export function parseResponse<S extends z.ZodType>(schema: S, body: unknown): z.output<S> {
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  throw new PosternError('protocol', 'The access server answered something that this version does not understand.', {
    cause: parsed.error,
  })
}

/** One call of the API with the person's certificate, its answer checked. */
export async function callApi<S extends z.ZodType>(
  core: Core,
  schema: S,
  request: { profile: string | undefined } & Omit<Params<'api.call'>, 'profile'>,
): Promise<z.output<S>> {
  const { profile, ...rest } = request
  const { body } = await core.call('api.call', { ...rest, ...(profile === undefined ? {} : { profile }) })
  return parseResponse(schema, body)
}
