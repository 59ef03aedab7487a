/** The state of the database's schema on every wire. Unknown fields are ignored by readers. */
import { z } from "zod";

/** Reads what `/schema/version` answers. */
export const schemaVersion = z
  .object({
    version: z.number().int().nonnegative().describe("Number of the newest applied migration; 0 for none."),
    applied_at: z.string().nullable().describe("When it was applied, ISO 8601, UTC."),
    pending: z.number().int().nonnegative().describe("Migrations of the service's version that are not applied."),
    checksum_ok: z.boolean().describe("False when an applied migration was altered, or is none of this version's."),
    engine: z.string().nullable().describe("Null until a migration has recorded one."),
    engine_version: z.string(),
  })
  .meta({ title: "store.SchemaVersion" });

export type SchemaVersion = z.output<typeof schemaVersion>;
