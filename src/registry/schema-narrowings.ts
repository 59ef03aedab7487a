/**
 * Why a document that is valid under one JSON Schema may be invalid under another. Only what validation looks at counts.
 * It errs on the safe side: a keyword that it cannot compare counts as a reason when it differs. References are followed
 * within the document only. A field that an open object does not declare is nobody's, so declaring it takes nothing away.
 */
import { canonicalJson } from "../contracts/canonical-json.ts";
import { type JsonSchema, withoutAnnotations } from "../contracts/schema-hash.ts";

/** One reason. */
export interface Narrowing {
  /** Where in the document, e.g. `meta.headers.*` or `components[].state`; empty for the document itself. */
  readonly path: string;
  readonly rule: "type" | "value" | "required" | "undeclared" | "limit" | "incomparable";
  /** What of it: the types or values that are lost, or the limit that is new. */
  readonly detail: string;
}

interface Walk {
  readonly from: JsonSchema;
  readonly to: JsonSchema;
  /** Pairs of references that are being compared further up. */
  readonly open: ReadonlySet<string>;
  readonly budget: { left: number };
}

/** Comparisons at most: a hundred times what large schemas need, and less than a second, whatever is sent. */
const MAX_COMPARISONS = 10_000;

type Schema = JsonSchema | boolean | undefined;

const ALL_TYPES = ["null", "boolean", "object", "array", "string", "integer", "number"] as const;
/** Keywords that limit the size of documents of one type. */
const SIZES = [
  { type: "string", least: "minLength", most: "maxLength" },
  { type: "array", least: "minItems", most: "maxItems" },
  { type: "object", least: "minProperties", most: "maxProperties" },
] as const;
/** Limits that are there or not; two different ones are not comparable, so the new one counts. */
const LIMITS = [
  { type: "string", name: "pattern" },
  { type: "string", name: "format" },
  { type: "integer", name: "multipleOf" },
] as const;
const INCOMPARABLE = [
  ...["not", "if", "then", "else", "contains", "minContains", "maxContains", "prefixItems", "patternProperties"],
  ...["dependentRequired", "dependentSchemas", "unevaluatedItems", "unevaluatedProperties"],
];

/** Every reason, in the order of the document's fields; none when whatever was valid still is. */
export function narrowings(from: JsonSchema, to: JsonSchema): Narrowing[] {
  return compare(from, to, "", { from, to, open: new Set(), budget: { left: MAX_COMPARISONS } });
}

function compare(rawFrom: Schema, rawTo: Schema, path: string, walk: Walk): Narrowing[] {
  if (rawTo === undefined || rawTo === true) return [];
  if (walk.budget.left-- <= 0) return [{ path, rule: "incomparable", detail: "structure" }];
  const refs = `${refOf(rawFrom)} ${refOf(rawTo)}`;
  const isReference = refs !== " ";
  if (isReference && walk.open.has(refs)) return [];
  const inner = isReference ? { ...walk, open: new Set([...walk.open, refs]) } : walk;
  const from = resolve(rawFrom, walk.from);
  const to = resolve(rawTo, walk.to);
  if (from === false) return [];
  if (to === false) return [{ path, rule: "type", detail: "anything" }];
  const keyword = (["anyOf", "oneOf"] as const).find(
    (name) => Array.isArray(from[name]) && !same(from[name], to[name]),
  );
  if (keyword !== undefined) return alternativesOf(from, keyword).flatMap((one) => compare(one, to, path, inner));
  return [
    ...compareTypes(from, to, path),
    ...compareValues(from, to, path),
    ...compareLimits(from, to, path),
    ...compareObjects(from, to, path, inner),
    ...compareItems(from, to, path, inner),
    ...compareAlternatives(from, to, path, inner),
  ];
}

function refOf(schema: Schema): string {
  return typeof schema === "object" && typeof schema["$ref"] === "string" ? schema["$ref"] : "";
}

/** The schema with its reference replaced by what it names; `{}` for what is not there. */
function resolve(schema: Schema, root: JsonSchema): JsonSchema | false {
  if (schema === false) return false;
  if (typeof schema !== "object") return {};
  let found: unknown = schema;
  // A chain of references longer than this is a loop.
  for (let step = 0; step < 32; step++) {
    const { $ref, ...beside } = found as JsonSchema;
    if (typeof $ref !== "string") return found as JsonSchema;
    const target = at(root, $ref);
    if (target === false) return false;
    found = typeof target === "object" && target !== null ? { ...target, ...beside } : beside;
  }
  return {};
}

function at(root: JsonSchema, ref: string): unknown {
  const steps = decodeURIComponent(ref.replace(/^#/, "")).split("/").slice(1);
  return steps.reduce<unknown>((node, step) => {
    const name = step.replaceAll("~1", "/").replaceAll("~0", "~");
    return typeof node === "object" && node !== null ? (node as JsonSchema)[name] : undefined;
  }, root);
}

/** The types of a schema's documents; a number may be an integer. */
function typesOf(schema: JsonSchema): ReadonlySet<string> {
  const { type } = schema;
  const values = valuesOf(schema);
  const named = type === undefined ? values?.map(typeOfValue) : [type].flat().map(String);
  const types = new Set<string>(named ?? ALL_TYPES);
  if (types.has("number")) types.add("integer");
  return types;
}

function typeOfValue(text: string): string {
  const value: unknown = JSON.parse(text);
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return Number.isInteger(value) ? "integer" : typeof value;
}

function compareTypes(from: JsonSchema, to: JsonSchema, path: string): Narrowing[] {
  const kept = typesOf(to);
  const lost = [...typesOf(from)].filter((type) => !kept.has(type));
  if (lost.length === 0) return [];
  const named = lost
    .filter((type) => !(type === "integer" && lost.includes("number")))
    .map((type) => (type === "number" && kept.has("integer") ? "a number with a fraction" : type));
  return [{ path, rule: "type", detail: named.join(", ") }];
}

/** The values that are allowed, as canonical JSON; undefined when any is. */
function valuesOf(schema: JsonSchema): string[] | undefined {
  if ("const" in schema) return [canonicalJson(schema["const"])];
  return Array.isArray(schema["enum"]) ? schema["enum"].map(canonicalJson) : undefined;
}

function compareValues(from: JsonSchema, to: JsonSchema, path: string): Narrowing[] {
  const kept = valuesOf(to);
  if (kept === undefined) return [];
  const before = valuesOf(from);
  if (before === undefined) return [{ path, rule: "limit", detail: `the values ${kept.join(", ")}` }];
  const lost = before.filter((value) => !kept.includes(value));
  return lost.length === 0 ? [] : [{ path, rule: "value", detail: lost.join(", ") }];
}

function compareLimits(from: JsonSchema, to: JsonSchema, path: string): Narrowing[] {
  const types = typesOf(from);
  const limits = types.has("integer") ? newBounds(from, to) : [];
  for (const { least, most } of SIZES.filter(({ type }) => types.has(type))) {
    if (numberOf(to, least, 0) > numberOf(from, least, 0)) limits.push(`${least} ${String(to[least])}`);
    if (numberOf(to, most, Infinity) < numberOf(from, most, Infinity)) limits.push(`${most} ${String(to[most])}`);
  }
  for (const { name } of LIMITS.filter(({ type }) => types.has(type))) {
    if (to[name] !== undefined && to[name] !== from[name]) limits.push(`${name} ${canonicalJson(to[name])}`);
  }
  if (types.has("array") && to["uniqueItems"] === true && from["uniqueItems"] !== true) limits.push("uniqueItems");
  return limits.map((detail) => ({ path, rule: "limit", detail }));
}

function newBounds(from: JsonSchema, to: JsonSchema): string[] {
  const integers = !typesOf(from).has("number");
  return ([1, -1] as const).flatMap((sign) => {
    const [before, after] = [boundOf(from, sign, integers), boundOf(to, sign, integers)];
    const isTighter = after.value * sign > before.value * sign;
    if (!isTighter && !(after.value === before.value && after.open && !before.open)) return [];
    return [`${sign === 1 ? "at least" : "at most"} ${after.value}${after.open ? ", exclusive" : ""}`];
  });
}

/** The least (sign 1) or greatest (sign -1) number that is allowed. Between integers an exclusive bound is the next one. */
function boundOf(schema: JsonSchema, sign: 1 | -1, integers: boolean): { value: number; open: boolean } {
  const [closedName, openName] = sign === 1 ? ["minimum", "exclusiveMinimum"] : ["maximum", "exclusiveMaximum"];
  const closed = numberOf(schema, closedName!, -Infinity * sign);
  const exclusive = numberOf(schema, openName!, -Infinity * sign);
  if (Math.abs(exclusive) === Infinity || exclusive * sign < closed * sign) return { value: closed, open: false };
  if (!integers) return { value: exclusive, open: true };
  const next = sign === 1 ? Math.floor(exclusive) + 1 : Math.ceil(exclusive) - 1;
  return { value: sign * Math.max(sign * next, sign * closed), open: false };
}

function numberOf(schema: JsonSchema, name: string, absent: number): number {
  return typeof schema[name] === "number" ? schema[name] : absent;
}

function compareObjects(from: JsonSchema, to: JsonSchema, path: string, walk: Walk): Narrowing[] {
  if (!typesOf(from).has("object")) return [];
  const [before, after] = [fieldsOf(from), fieldsOf(to)];
  const [restBefore, restAfter] = [from["additionalProperties"] as Schema, to["additionalProperties"] as Schema];
  const found: Narrowing[] = [];
  const required = stringsOf(from, "required");
  for (const name of stringsOf(to, "required").filter((each) => !required.includes(each))) {
    found.push({ path: below(path, name), rule: "required", detail: "" });
  }
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (name in before) {
      const isRefused = !(name in after) && restAfter === false;
      if (isRefused) found.push({ path: below(path, name), rule: "undeclared", detail: "" });
      else found.push(...compare(before[name], name in after ? after[name] : restAfter, below(path, name), walk));
    } else if (typeof restBefore === "object") found.push(...compare(restBefore, after[name], below(path, name), walk));
  }
  if (restBefore !== false) {
    if (restAfter === false) found.push({ path: below(path, "*"), rule: "undeclared", detail: "" });
    else found.push(...compare(restBefore, restAfter, below(path, "*"), walk));
  }
  const names = to["propertyNames"] as Schema;
  found.push(...compare((from["propertyNames"] ?? { type: "string" }) as Schema, names, `${path} (names)`, walk));
  return found;
}

function fieldsOf(schema: JsonSchema): Readonly<Record<string, Schema>> {
  return (schema["properties"] ?? {}) as Readonly<Record<string, Schema>>;
}

function stringsOf(schema: JsonSchema, name: string): readonly string[] {
  return Array.isArray(schema[name]) ? (schema[name] as string[]) : [];
}

function compareItems(from: JsonSchema, to: JsonSchema, path: string, walk: Walk): Narrowing[] {
  if (to["items"] === undefined || !typesOf(from).has("array")) return [];
  return compare(from["items"] as Schema, to["items"] as Schema, `${path}[]`, walk);
}

/** What is valid, type by type, must fit one of the alternatives. */
function compareAlternatives(from: JsonSchema, to: JsonSchema, path: string, walk: Walk): Narrowing[] {
  const found =
    stringsOf(to, "allOf").length > 0 && !same(from["allOf"], to["allOf"]) ? compareAll(from, to, path, walk) : [];
  for (const keyword of ["anyOf", "oneOf"]) {
    const after = to[keyword];
    if (!Array.isArray(after) || same(from[keyword], after)) continue;
    const isCovered = (before: Schema): boolean =>
      after.some((one: Schema) => compare(before, one, path, walk).length === 0);
    if (!alternativesOf(from, "type").every(isCovered)) found.push({ path, rule: "incomparable", detail: keyword });
  }
  for (const keyword of INCOMPARABLE) {
    if (to[keyword] !== undefined && !same(from[keyword], to[keyword])) {
      found.push({ path, rule: "incomparable", detail: keyword });
    }
  }
  return found;
}

function compareAll(from: JsonSchema, to: JsonSchema, path: string, walk: Walk): Narrowing[] {
  return (to["allOf"] as Schema[]).flatMap((one) => compare(from, one, path, walk));
}

function alternativesOf(schema: JsonSchema, keyword: "anyOf" | "oneOf" | "type"): Schema[] {
  const { [keyword]: alternatives, ...rest } = schema;
  if (!Array.isArray(alternatives)) return [schema];
  if (keyword === "type") return alternatives.map((type: unknown) => ({ ...rest, type }));
  return alternatives.map((one) => (typeof one === "object" ? { ...rest, ...(one as JsonSchema) } : (one as boolean)));
}

/** A reference may name something else in another document. */
function same(one: unknown, other: unknown): boolean {
  if (one === undefined || other === undefined) return one === other;
  const text = canonicalJson(withoutAnnotations(one));
  return text === canonicalJson(withoutAnnotations(other)) && !text.includes('"$ref"');
}

function below(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}
