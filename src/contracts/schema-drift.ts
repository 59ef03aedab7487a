/**
 * The payload of telemetry.schema_drift, track v1: a contract of the store and the registry's differ. Hashes are SHA-256
 * over canonical JSON without annotations, see schema-hash.ts.
 */
import { z } from "zod";

const SCHEMA_CHANGES = ["breaking", "compatible", "documentation"] as const;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** Reads a drift event's payload from a wire. */
export const schemaDrift = z
  .object({
    repo: z.string().describe("Whose contract it is."),
    schema: z.string().describe("Name of the schema, e.g. telemetry.FeedbackEvent."),
    track: z.string(),
    local_sha256: sha256.describe("Of the schema that the store was built with."),
    local_version: z.string().describe("Version of the store."),
    registry_sha256: sha256.describe("Of the registry's schema."),
    registry_version: z.string().describe("Version of the schema in the registry."),
    detected_at: z.number().describe("In epoch seconds."),
    change: z
      .enum(SCHEMA_CHANGES)
      .describe("From the registry's schema to the store's; breaking: what held no longer does."),
  })
  .meta({ title: "telemetry.schema_drift" });

export type SchemaChange = (typeof SCHEMA_CHANGES)[number];
export type SchemaDrift = z.output<typeof schemaDrift>;

/** The JSON Schema (draft 2020-12) of the payload as it is written. */
export function schemaDriftJsonSchema(): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(schemaDrift, { target: "draft-2020-12", io: "input" });
}
