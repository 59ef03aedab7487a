/** Compares the store's schemas with a registry's of one track. It only looks: what comes of it is others' business. */
import type { SchemaChange } from "../contracts/schema-drift.ts";
import { schemaSha256 } from "../contracts/schema-hash.ts";
import type { LocalSchema } from "./local-schemas.ts";
import { classifyChange, type SchemaDifference } from "./schema-change.ts";
import type { SchemaRegistry } from "./schema-registry.ts";

/** How one schema stands to the registry's. */
export interface SchemaComparison {
  readonly schema: string;
  /** `missing`: the registry does not have it, which is neither drift nor in sync. */
  readonly status: "in_sync" | "drift" | "missing";
  /**
   * From the registry's to ours. In sync, it is `documentation` where descriptions differ, and null where nothing does;
   * null too where the registry has none.
   */
  readonly change: SchemaChange | null;
  readonly local_sha256: string;
  readonly registry_sha256: string | null;
  readonly registry_version: string | null;
  readonly differences: readonly SchemaDifference[];
}

/** @throws StoreError `registry_unavailable` or `registry_refused`, and then nothing is known of any of them. */
export async function compareSchemas(
  registry: SchemaRegistry,
  track: string,
  schemas: readonly LocalSchema[],
  signal?: AbortSignal,
): Promise<readonly SchemaComparison[]> {
  await registry.check(signal);
  return Promise.all(schemas.map((schema) => compareOne(registry, track, schema, signal)));
}

async function compareOne(
  registry: SchemaRegistry,
  track: string,
  { name, content, sha256, compatibility }: LocalSchema,
  signal: AbortSignal | undefined,
): Promise<SchemaComparison> {
  const theirs = await registry.fetch(track, name, signal);
  const ours = { schema: name, local_sha256: sha256 };
  if (theirs === undefined) {
    return { ...ours, status: "missing", change: null, registry_sha256: null, registry_version: null, differences: [] };
  }
  // The registry's own hash may be made in another way.
  const registrySha256 = schemaSha256(theirs.content);
  const { change = null, differences } = classifyChange(theirs.content, content, compatibility);
  const status = registrySha256 === sha256 ? "in_sync" : "drift";
  return { ...ours, status, change, registry_sha256: registrySha256, registry_version: theirs.version, differences };
}
