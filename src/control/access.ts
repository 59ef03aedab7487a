/** Tenants and their ingest tokens as the admin API takes and shows them. */
import { z } from "zod";

const time = z.string().describe("ISO 8601, UTC.");
const slug = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/)
  .describe("1 to 63 lower-case letters, digits, - and _, the first one a letter or digit.");
const name = z
  .string()
  .min(1)
  .max(200)
  .regex(/^\P{Cc}*$/u)
  .describe("For people; no control characters.");

export const tenant = z.object({
  id: z.uuid(),
  slug: z.string(),
  name: z.string(),
  state: z.enum(["active", "deleting"]),
  created_at: time,
});

export const newTenant = z.strictObject({ slug, name: name.optional().describe("For people; the slug unless given.") });

export const tenantChanges = z
  .strictObject({ slug: slug.optional(), name: name.optional() })
  .refine((changes) => changes.slug !== undefined || changes.name !== undefined, "give a slug or a name");

export const ingestToken = z.object({
  id: z.uuid(),
  name: z.string(),
  created_at: time,
  revoked_at: time.nullable().describe("Null while the token is valid."),
});

export const newIngestToken = z.strictObject({ name: name.describe("What it is for.") });

export const createdIngestToken = ingestToken.extend({
  token: z.string().describe("The secret, told this once."),
});

export type TenantRecord = z.output<typeof tenant>;
export type IngestTokenRecord = z.output<typeof ingestToken>;
export type CreatedIngestTokenRecord = z.output<typeof createdIngestToken>;
