/**
 * Adds a version of a schema to the registry, if it may follow the one before. The same schema again adds nothing; of
 * two that come at once each is compared with what is there then.
 */
import { canonicalJson } from "../contracts/canonical-json.ts";
import { type JsonSchema, schemaSha256 } from "../contracts/schema-hash.ts";
import { StoreError } from "../errors/store-error.ts";
import { classifyChange, type PublishCompatibility } from "./schema-change.ts";
import type { SchemaVersionFacts, SchemaVersions } from "./schema-versions.ts";

/** So many others at once, for one schema, are a fault of theirs. */
const MAX_ATTEMPTS = 5;

interface NewSchema {
  readonly track: string;
  readonly name: string;
  readonly content: JsonSchema;
  readonly compatibility: PublishCompatibility;
}

/** @throws StoreError `schema_incompatible` with the reasons in `details.reasons`. */
export async function publishSchema(
  versions: Pick<SchemaVersions, "find" | "add">,
  { track, name, content, compatibility }: NewSchema,
): Promise<{ readonly facts: SchemaVersionFacts; readonly created: boolean }> {
  const text = JSON.stringify(content);
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const previous = await versions.find(track, name);
    if (previous !== undefined) {
      const before = JSON.parse(previous.content) as JsonSchema;
      if (canonicalJson(before) === canonicalJson(content)) {
        const { content: _, ...facts } = previous;
        return { facts, created: false };
      }
      refuseBreaking(name, previous.version, before, content, compatibility);
    }
    const version = (previous?.version ?? 0) + 1;
    const facts = await versions.add({ track, name, version, sha256: schemaSha256(content), content: text });
    if (facts !== undefined) return { facts, created: true };
  }
  throw new StoreError("database_conflict", `Others are publishing ${name} at the same time; try again.`);
}

function refuseBreaking(
  name: string,
  version: number,
  previous: JsonSchema,
  next: JsonSchema,
  compatibility: PublishCompatibility,
): void {
  if (compatibility === "none") return;
  const { change, differences } = classifyChange(previous, next, compatibility);
  if (change !== "breaking") return;
  const reasons = differences.filter(({ breaking }) => breaking).map(({ message }) => message);
  throw new StoreError(
    "schema_incompatible",
    `${name} would break with version ${version} (${compatibility}): ${reasons.join(" ")}`,
    { details: { reasons, compatibility, version } },
  );
}
