/**
 * What a change of a JSON Schema means: breaking, compatible, or documentation alone. One classification, for the drift
 * report and for the registry that refuses a version.
 *
 * `backward`: who reads by the new version can read what was written by the old one. `full`: that, and who reads by the
 * old version can read what is written by the new one.
 */
import { canonicalJson } from "../contracts/canonical-json.ts";
import type { SchemaChange } from "../contracts/schema-drift.ts";
import { type JsonSchema, withoutAnnotations } from "../contracts/schema-hash.ts";
import { type Narrowing, narrowings } from "./schema-narrowings.ts";

/** What has to hold between two versions. */
const COMPATIBILITIES = ["backward", "full"] as const;
export type Compatibility = (typeof COMPATIBILITIES)[number];
/** `none` publishes whatever changed, for who knows what they do. */
export const PUBLISH_COMPATIBILITIES = [...COMPATIBILITIES, "none"] as const;
export type PublishCompatibility = (typeof PUBLISH_COMPATIBILITIES)[number];

/** One difference, for people and programs. */
export interface SchemaDifference {
  readonly path: string;
  readonly breaking: boolean;
  readonly message: string;
}

export interface ClassifiedChange {
  /** Undefined when both schemas are the same text. */
  readonly change: SchemaChange | undefined;
  readonly differences: readonly SchemaDifference[];
}

/** Keywords besides the annotations that say nothing about validity. */
const REMARKS: ReadonlySet<string> = new Set([
  "deprecated",
  "readOnly",
  "writeOnly",
  "contentMediaType",
  "contentEncoding",
]);
/** Lists whose order means nothing. */
const SETS: ReadonlySet<string> = new Set(["required", "enum", "type"]);
const NAMED: ReadonlySet<string> = new Set(["properties", "$defs", "patternProperties", "dependentSchemas"]);

/** From the previous schema to the next. */
export function classifyChange(previous: JsonSchema, next: JsonSchema, compatibility: Compatibility): ClassifiedChange {
  if (canonicalJson(previous) === canonicalJson(next)) return { change: undefined, differences: [] };
  if (canonicalJson(essence(previous)) === canonicalJson(essence(next))) {
    return { change: "documentation", differences: [] };
  }
  const lost = narrowings(previous, next).map((one) => ({ path: one.path, breaking: true, message: lostText(one) }));
  const gained = narrowings(next, previous).map((one) => ({
    path: one.path,
    breaking: compatibility === "full",
    message: gainedText(one),
  }));
  const differences = [...lost, ...gained, ...optionalFields(previous, next)];
  return { change: differences.some(({ breaking }) => breaking) ? "breaking" : "compatible", differences };
}

/** What is left when nothing is kept but what validation looks at, in one order. */
function essence(schema: unknown): unknown {
  return reduced(withoutAnnotations(schema));
}

function reduced(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(reduced);
  if (typeof schema !== "object" || schema === null) return schema;
  const kept = Object.entries(schema).filter(([keyword]) => !REMARKS.has(keyword) && !keyword.startsWith("x-"));
  return Object.fromEntries(
    kept.map(([keyword, value]: [string, unknown]) => {
      if (SETS.has(keyword) && Array.isArray(value)) return [keyword, value.map(canonicalJson).sort()];
      if (keyword === "const" || keyword === "enum") return [keyword, value];
      if (!NAMED.has(keyword) || typeof value !== "object" || value === null) return [keyword, reduced(value)];
      return [keyword, Object.fromEntries(Object.entries(value).map(([name, each]) => [name, reduced(each)]))];
    }),
  );
}

const NAMELESS = "The document";

function lostText({ path, rule, detail }: Narrowing): string {
  const where = path === "" ? NAMELESS : path;
  switch (rule) {
    case "type":
    case "value":
      return `${where} no longer allows ${detail}.`;
    case "required":
      return `${where} is now required.`;
    case "undeclared":
      return `${where} is refused now.`;
    case "limit":
      return `${where} is now limited to ${detail}.`;
    case "incomparable":
      return `${where} has another ${detail} now, which cannot be compared.`;
  }
}

function gainedText({ path, rule, detail }: Narrowing): string {
  const where = path === "" ? NAMELESS : path;
  switch (rule) {
    case "type":
    case "value":
      return `${where} now also allows ${detail}.`;
    case "required":
      return `${where} is no longer required.`;
    case "undeclared":
      return `${where} was refused and is allowed now.`;
    case "limit":
      return `${where} is no longer limited to ${detail}.`;
    case "incomparable":
      return `${where} had another ${detail}, which cannot be compared.`;
  }
}

/** Fields of the document itself that an open schema declares on one side only: nobody has to have or to read them. */
function optionalFields(previous: JsonSchema, next: JsonSchema): SchemaDifference[] {
  const [before, after] = [previous, next].map((schema) => Object.keys((schema["properties"] ?? {}) as object));
  const added = after!.filter((name) => !before!.includes(name));
  const removed = before!.filter((name) => !after!.includes(name));
  return [
    ...added.map((path) => ({ path, breaking: false, message: `${path} was added.` })),
    ...removed.map((path) => ({ path, breaking: false, message: `${path} was removed.` })),
  ];
}
