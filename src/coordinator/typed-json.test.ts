import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseTypedJson, typedJson, UnstorableValue } from "./typed-json.ts";

/** Texts that provoke: names of tags, prototypes, escapes and halves of surrogate pairs. */
const text = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.string({ unit: "binary" }),
  fc.constantFrom("$", "$date", "$object", "$bigint", "__proto__", "toJSON", "\\", '\\"', '"', "\ud800", "\0", "\n"),
);
const scalar = fc.oneof(
  text,
  fc.double(),
  fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 0),
  fc.bigInt(),
  fc.boolean(),
  fc.constant(null),
  fc.date({ noInvalidDate: false }),
);
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 4 },
    scalar,
    fc.array(fc.oneof(tie("any"), fc.constant(undefined)), { maxLength: 4 }),
    // Made with own properties only, also where the name is __proto__.
    fc
      .array(fc.tuple(text, tie("any")), { maxLength: 4 })
      .map((entries) => Object.fromEntries(entries as [string, unknown][])),
  ),
})).any;

describe("typed JSON", () => {
  it("brings back every value as it was", () => {
    fc.assert(
      fc.property(value, (given) => {
        expect(parseTypedJson(typedJson(given))).toStrictEqual(given);
      }),
      { numRuns: 3_000 },
    );
  });

  it("is one line", () => {
    fc.assert(fc.property(value, (given) => !/[\n\r]/.test(typedJson(given))));
  });

  it("takes an undefined field as absent and keeps null", () => {
    expect(parseTypedJson(typedJson({ a: undefined, b: null }))).toStrictEqual({ b: null });
  });

  it("keeps a row that is an instance of the caller's class", () => {
    class Row {
      readonly symbol = "A";
      toJSON(): string {
        return "something else";
      }
    }
    expect(parseTypedJson(typedJson(new Row()))).toStrictEqual({ symbol: "A" });
  });

  it.each([
    ["a function", () => undefined],
    ["a symbol", Symbol("x")],
    ["a map", new Map()],
    ["bytes", Buffer.from("x")],
  ])("says of %s that it cannot be stored", (_, unstorable) => {
    const back = parseTypedJson(typedJson({ metadata: { x: unstorable } })) as { metadata: { x: unknown } };
    expect(back.metadata.x).toBeInstanceOf(UnstorableValue);
    expect(parseTypedJson(typedJson(back))).toStrictEqual(back);
  });

  it("ends where an object holds itself", () => {
    const round: Record<string, unknown> = {};
    round["self"] = round;
    expect(typedJson({ metadata: round })).toContain("$unstorable");
  });
});
