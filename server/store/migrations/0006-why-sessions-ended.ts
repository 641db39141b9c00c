// Migration 6: what the reason of a session's end alone does not say, such as which limit it was (server/sessions/end-cause.ts).
import type { Migration } from 'kysely/migration'

export const whySessionsEnded: Migration = {
  async up({ schema }) {
    await schema.alterTable('sessions').addColumn('end_why', 'text').execute()
  },
}
