/**
 * Whether a document is a JSON Schema that a registry can keep: draft 2020-12, an object, of a sane depth, and whole: its
 * references lead to places within it, so that two versions can be compared without anything else.
 */
import { Ajv2020 } from "ajv/dist/2020.js";
import type { JsonSchema } from "../contracts/schema-hash.ts";
import { StoreError } from "../errors/store-error.ts";

const DRAFT = "https://json-schema.org/draft/2020-12/schema";
/** Real schemas are a few levels deep; what is deeper would be walked by recursion. */
const MAX_DEPTH = 64;
/** References that mean something else in another place. */
const DYNAMIC = ["$dynamicRef", "$recursiveRef"];

let checker: Ajv2020 | undefined;

/** @throws StoreError `schema_invalid` with what is wrong and where. */
export function checkJsonSchema(body: unknown): JsonSchema {
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw invalid("it is no JSON object");
  const schema = body as JsonSchema;
  const draft = schema["$schema"] ?? DRAFT;
  if (draft !== DRAFT) throw invalid(`its $schema is ${JSON.stringify(draft)}, and only ${DRAFT} is kept here`);
  checkWithin(schema, schema, 1);
  checker ??= new Ajv2020({ strict: false, logger: false, allErrors: true });
  if (checker.validateSchema(schema) !== true) {
    throw invalid(checker.errorsText(checker.errors, { dataVar: "the schema", separator: "; " }));
  }
  return schema;
}

function checkWithin(value: unknown, root: JsonSchema, depth: number): void {
  if (typeof value !== "object" || value === null) return;
  if (depth > MAX_DEPTH) throw invalid(`it is nested deeper than ${MAX_DEPTH} levels`);
  for (const [name, each] of Object.entries(value)) {
    if (DYNAMIC.includes(name)) throw invalid(`it uses ${name}, which cannot be compared`);
    if (name === "$ref" && typeof each === "string" && !isThere(root, each)) {
      throw invalid(`its reference ${JSON.stringify(each)} leads to no place within it`);
    }
    // The schema of schemas leaves this open.
    if (name === "pattern" && typeof each === "string" && !isPattern(each)) {
      throw invalid(`its pattern ${JSON.stringify(each)} is no regular expression`);
    }
    checkWithin(each, root, depth + 1);
  }
}

function isThere(root: JsonSchema, ref: string): boolean {
  if (ref === "#") return true;
  if (!ref.startsWith("#/")) return false;
  const steps = ref.slice(2).split("/");
  const target = steps.reduce<unknown>((node, step) => {
    const name = decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~");
    return typeof node === "object" && node !== null ? (node as JsonSchema)[name] : undefined;
  }, root);
  return target !== undefined;
}

function isPattern(text: string): boolean {
  try {
    new RegExp(text, "u");
    return true;
  } catch {
    return false;
  }
}

function invalid(what: string): StoreError {
  return new StoreError("schema_invalid", `The body is no JSON Schema that can be kept: ${what}.`);
}
