// What every part of the access server's JSON API has in common: times, permission levels, what answers say about trust, and errors.
// The parts are login-api, resource-api, session-api, audit-api and admin-api: requests and responses as schemas, used by server/web
// to parse and by client/ and cli/ to check what came back. Every response of a signed-in endpoint carries `serverTime` (C6).
// Contracts only grow. Pure.
import { z } from 'zod'

export const Time = z.iso.datetime()
export const Pem = z.string().max(16_384)
export const Password = z.string().min(1).max(1024)

/** Permission levels of the server's own API, lowest first (W1). `none` is a person who may only use resources. */
export const PERMISSION_LEVELS = ['none', 'viewer', 'editor', 'admin'] as const
export const PermissionLevel = z.enum(PERMISSION_LEVELS)
export type PermissionLevel = z.infer<typeof PermissionLevel>

/**
 * Server CAs that a client is to trust from now on, PEM, the one that signs first (C7). A client believes it only over a
 * connection that it verified by those that it trusts already; what it cannot read spoils no answer.
 */
export const ServerCas = z.array(Pem).min(1).max(16).optional().catch(undefined)

/** What answers say about trust besides their own fields; a client looks for it in every answer. */
export const TrustNews = z.object({
  cas: ServerCas,
  /** The user certificate that was presented rests on an old user CA: POST /v1/login/certificate gives another one. */
  renewCertificate: z.boolean().optional().catch(undefined),
})
export type TrustNews = z.infer<typeof TrustNews>

/** An answer that says no more than that it was done. */
export const Done = z.object({ serverTime: Time })

/** Every error of the API has this body; `code` is one of shared/errors.ts. */
export const ApiError = z.object({
  error: z.object({
    code: z.string(),
    text: z.string(),
    errorId: z.string().optional(),
    detail: z.unknown().optional(),
  }),
  serverTime: Time.optional(),
})
