/**
 * The hash by which two JSON Schemas are the same: SHA-256 over canonical JSON without annotations, so that a changed
 * description is no difference. Names of fields and values of enums are never taken for annotations.
 */
import { createHash } from "node:crypto";
import { canonicalJson } from "./canonical-json.ts";

/** A JSON Schema document. */
export type JsonSchema = { readonly [keyword: string]: unknown };

const ANNOTATIONS: ReadonlySet<string> = new Set(["title", "description", "examples", "default"]);
const KEPT_DOLLARS: ReadonlySet<string> = new Set(["$ref", "$defs"]);
/** Their members are names of fields or definitions, and each value is a schema. */
const NAMED_SCHEMAS: ReadonlySet<string> = new Set(["properties", "patternProperties", "$defs", "dependentSchemas"]);
/** Their values are data, not schemas. */
const DATA: ReadonlySet<string> = new Set(["enum", "const", "required", "type", "dependentRequired"]);

/** First the schema without annotations, then its hash in hex. */
export function schemaSha256(schema: JsonSchema): string {
  return createHash("sha256")
    .update(canonicalJson(withoutAnnotations(schema)))
    .digest("hex");
}

/** The schema with nothing in it but what decides whether a document is valid. */
export function withoutAnnotations(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutAnnotations);
  if (typeof schema !== "object" || schema === null) return schema;
  const kept = Object.entries(schema).filter(([keyword]) => !isAnnotation(keyword));
  return Object.fromEntries(kept.map(([keyword, value]) => [keyword, bareKeyword(keyword, value)]));
}

function isAnnotation(keyword: string): boolean {
  return ANNOTATIONS.has(keyword) || (keyword.startsWith("$") && !KEPT_DOLLARS.has(keyword));
}

function bareKeyword(keyword: string, value: unknown): unknown {
  if (DATA.has(keyword)) return value;
  if (!NAMED_SCHEMAS.has(keyword) || typeof value !== "object" || value === null) return withoutAnnotations(value);
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, withoutAnnotations(each)]));
}
