// Error bodies as they come from another version or over the wire: an unknown code becomes `internal`, the text stays.
import { isErrorCode, PosternError } from '../shared/errors.ts'

export type LooseErrorBody = { code: string; text: string; errorId?: string | undefined; detail?: unknown }

export const errorFromBody = (body: LooseErrorBody): PosternError =>
  PosternError.fromBody({ ...body, code: isErrorCode(body.code) ? body.code : 'internal' })
