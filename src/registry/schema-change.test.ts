import { describe, expect, it } from "vitest";
import { type JsonSchema, schemaSha256 } from "../contracts/schema-hash.ts";
import { classifyChange } from "./schema-change.ts";
import { storeSchemas } from "./store-schemas.ts";

const base = {
  type: "object",
  title: "event",
  properties: {
    level: { type: "string", enum: ["ok", "soft"], description: "How hard." },
    size: { type: "integer", minimum: 0, maximum: 10 },
    note: { type: ["string", "null"], maxLength: 8, default: "none" },
    tags: { type: "array", items: { type: "string" }, maxItems: 3 },
    headers: { type: "object", additionalProperties: { type: "string" } },
  },
  required: ["level", "size"],
} as const;
const field = (name: string, schema: object): JsonSchema & { readonly properties: object } => ({
  ...base,
  properties: { ...base.properties, [name]: schema },
});
const without = (name: keyof typeof base.properties): JsonSchema & { readonly properties: object } => {
  const { [name]: _, ...properties } = base.properties;
  return { ...base, properties, required: base.required.filter((each) => each !== name) };
};
const closed: JsonSchema = { ...base, additionalProperties: false };

type Case = [what: string, next: JsonSchema, backward: Expected, full: Expected, previous?: JsonSchema];
type Expected = "breaking" | "compatible" | "documentation" | undefined;
/** What changes, the schema then, what it is for those who only read, and for both sides; the schema before, if not the base. */
const CASES: Case[] = [
  ["nothing", { ...base }, undefined, undefined],
  ["the order of members", Object.fromEntries(Object.entries(base).reverse()), undefined, undefined],
  ["the title", { ...base, title: "Event" }, "documentation", "documentation"],
  ["a description", field("level", { ...base.properties.level, description: "?" }), "documentation", "documentation"],
  ["a default", field("note", { ...base.properties.note, default: "" }), "documentation", "documentation"],
  ["a dollar keyword", { ...base, $comment: "new", $id: "event" }, "documentation", "documentation"],
  ["a remark", field("note", { ...base.properties.note, deprecated: true }), "documentation", "documentation"],
  ["the order of a set", { ...base, required: ["size", "level"] }, "documentation", "documentation"],

  ["an optional field added", field("more", { type: "string" }), "compatible", "compatible"],
  [
    "an optional field added to a closed object",
    { ...field("more", {}), additionalProperties: false },
    "compatible",
    "breaking",
    closed,
  ],
  ["an optional field removed", without("note"), "compatible", "compatible"],
  [
    "an optional field removed from a closed object",
    { ...without("note"), additionalProperties: false },
    "breaking",
    "breaking",
    closed,
  ],
  ["a required field removed", without("size"), "compatible", "breaking"],
  [
    "a required field renamed",
    {
      ...without("size"),
      properties: { ...(without("size")["properties"] as object), queue: base.properties.size },
      required: ["level", "queue"],
    },
    "breaking",
    "breaking",
  ],
  ["a required field added", { ...field("more", {}), required: [...base.required, "more"] }, "breaking", "breaking"],
  ["a field that becomes required", { ...base, required: [...base.required, "note"] }, "breaking", "breaking"],
  ["a field that becomes optional", { ...base, required: ["level"] }, "compatible", "breaking"],
  ["a field called title removed", base as JsonSchema, "compatible", "compatible", field("title", { type: "string" })],

  ["another type", field("size", { type: "string" }), "breaking", "breaking"],
  ["a type more", field("size", { ...base.properties.size, type: ["integer", "null"] }), "compatible", "breaking"],
  ["a type less", field("note", { ...base.properties.note, type: "string" }), "breaking", "breaking"],
  ["integer to number", field("size", { ...base.properties.size, type: "number" }), "compatible", "breaking"],
  [
    "number to integer",
    base as JsonSchema,
    "breaking",
    "breaking",
    field("size", { ...base.properties.size, type: "number" }),
  ],
  [
    "a value more",
    field("level", { ...base.properties.level, enum: ["ok", "soft", "hard"] }),
    "compatible",
    "breaking",
  ],
  ["a value less", field("level", { ...base.properties.level, enum: ["ok"] }), "breaking", "breaking"],
  ["the same values without their type", field("level", { enum: ["ok", "soft"] }), "compatible", "compatible"],
  ["one value as const", field("level", { const: "ok" }), "breaking", "breaking"],

  ["a higher minimum", field("size", { ...base.properties.size, minimum: 1 }), "breaking", "breaking"],
  ["a lower minimum", field("size", { ...base.properties.size, minimum: -1 }), "compatible", "breaking"],
  [
    "the same minimum, exclusive",
    field("size", { type: "integer", exclusiveMinimum: -1, maximum: 10 }),
    "compatible",
    "compatible",
  ],
  ["a lower maximum", field("size", { ...base.properties.size, maximum: 9 }), "breaking", "breaking"],
  [
    "an exclusive maximum",
    field("size", { type: "integer", minimum: 0, exclusiveMaximum: 10 }),
    "breaking",
    "breaking",
  ],
  ["a shorter text", field("note", { ...base.properties.note, maxLength: 7 }), "breaking", "breaking"],
  ["a longer text", field("note", { ...base.properties.note, maxLength: 9 }), "compatible", "breaking"],
  ["a pattern", field("note", { ...base.properties.note, pattern: "^a" }), "breaking", "breaking"],
  ["another item", field("tags", { ...base.properties.tags, items: { type: "integer" } }), "breaking", "breaking"],
  ["fewer items", field("tags", { ...base.properties.tags, maxItems: 2 }), "breaking", "breaking"],
  [
    "other further fields",
    field("headers", { type: "object", additionalProperties: { type: "number" } }),
    "breaking",
    "breaking",
  ],
  ["closing", closed, "breaking", "breaking"],
  ["opening", base as JsonSchema, "compatible", "breaking", closed],

  [
    "alternatives for its types",
    field("note", { anyOf: [{ type: "string", maxLength: 8 }, { type: "null" }] }),
    "compatible",
    "compatible",
  ],
  ["an alternative less", field("note", { anyOf: [{ type: "string" }] }), "breaking", "breaking"],
  ["a condition", { ...base, not: { required: ["note", "tags"] } }, "breaking", "breaking"],
  [
    "a reference to the same",
    { ...field("size", { $ref: "#/$defs/size" }), $defs: { size: base.properties.size } },
    "compatible",
    "compatible",
  ],
  [
    "a reference to less",
    { ...field("size", { $ref: "#/$defs/size" }), $defs: { size: { type: "integer", minimum: 5, maximum: 10 } } },
    "breaking",
    "breaking",
  ],
];

describe("classifyChange", () => {
  it.each(CASES)("%s", (_, next, backward, full, previous: JsonSchema = base) => {
    expect(classifyChange(previous, next, "backward").change, "backward").toBe(backward);
    expect(classifyChange(previous, next, "full").change, "full").toBe(full);
  });

  it("says what broke and where", () => {
    const next = field("level", { type: "string", enum: ["ok", "hard"] });
    expect(classifyChange(base, { ...next, required: ["level", "size", "note"] }, "full").differences).toEqual([
      { path: "note", breaking: true, message: "note is now required." },
      { path: "level", breaking: true, message: 'level no longer allows "soft".' },
      { path: "level", breaking: true, message: 'level now also allows "hard".' },
    ]);
  });

  it("ends on schemas that refer to themselves", () => {
    const tree = (value: object): JsonSchema => ({
      type: "object",
      properties: { value, children: { type: "array", items: { $ref: "#" } } },
    });
    expect(classifyChange(tree({ type: "string" }), tree({ type: "string", title: "x" }), "full").change).toBe(
      "documentation",
    );
    expect(classifyChange(tree({ type: "string" }), tree({ type: "integer" }), "full").change).toBe("breaking");
    expect(
      classifyChange({ $ref: "#" }, { $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/a" } } }, "full").change,
    ).toBe("compatible");
  });

  it("gives up on what would take for ever", () => {
    const nested = (depth: number, leaf: object): JsonSchema =>
      depth === 0
        ? { ...leaf }
        : { anyOf: [nested(depth - 1, leaf), nested(depth - 1, { ...leaf, maxLength: depth })] };
    const { change } = classifyChange(
      nested(10, { type: "string" }),
      nested(10, { type: "string", minLength: 1 }),
      "full",
    );
    expect(change).toBe("breaking");
  });

  it("finds every schema of the store the same as itself", () => {
    for (const [name, schema] of Object.entries(storeSchemas())) {
      const changed = { ...schema, maxProperties: 1_000 };
      expect(classifyChange(schema, structuredClone(schema), "full").change, name).toBeUndefined();
      expect(
        classifyChange(schema, changed, "full").differences.map(({ path }) => path),
        name,
      ).toEqual([""]);
    }
  });
});

describe("schemaSha256", () => {
  const { description: _, ...level } = base.properties.level;
  it.each([
    ["annotations", { ...field("level", level), title: "other", $schema: "x", $id: "y" }, true],
    [
      "the order of members",
      { properties: base.properties, required: base.required, type: "object", title: "t" },
      true,
    ],
    ["a field that is called description", field("description", { type: "string" }), false],
    ["a value that is called title", field("level", { ...level, enum: ["ok", "soft", "title"] }), false],
    ["a definition", { ...base, $defs: { a: {} } }, false],
  ])("R37 %s", (_name, schema: JsonSchema, isSame) => {
    expect(schemaSha256(schema) === schemaSha256(base)).toBe(isSame);
  });

  it("is SHA-256 over canonical JSON", () => {
    // printf '{"properties":{"title":{"type":"string"}},"type":"object"}' | sha256sum
    expect(
      schemaSha256({ type: "object", title: "t", properties: { title: { type: "string", examples: ["a"] } } }),
    ).toBe("75a323804435b510db3f8cc7fda9a750763b0ee894a8e28a00ffafc4823ee03a");
  });
});
