import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nestedTexts, parseJsonText } from "./json-text.ts";

describe("parseJsonText", () => {
  it("tells escaped keys apart where JSON.parse mistakes them", () => {
    const quote = '{"metadata":{"":0,"\\"":false}}';
    const backslash = '{"metadata":{"":0,"\\\\":false}}';
    for (let round = 0; round < 1_000; round++) {
      expect(Object.keys((parseJsonText(backslash) as { metadata: object }).metadata)).toEqual(["", "\\"]);
      expect(Object.keys((parseJsonText(quote) as { metadata: object }).metadata)).toEqual(["", '"']);
    }
  });

  it("reads whatever JSON.stringify writes", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4, stringUnit: "binary" }), fc.nat(2), (value, indent) => {
        expect(parseJsonText(JSON.stringify(value, null, indent))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
      { numRuns: 500, examples: [[{ '"': ["\\", { "\n": '"}' }] }, 2]] },
    );
  });

  it("keeps a member called __proto__ and refuses what is no JSON", () => {
    expect(Object.keys(parseJsonText('{"__proto__":"\\\\"}') as object)).toEqual(["__proto__"]);
    for (const text of ["", "{", '{"a\\":1}', "[1,]", "{'a':\"\\\\\"}"])
      expect(() => parseJsonText(text)).toThrow(SyntaxError);
  });
});

describe("nestedTexts", () => {
  it("gives objects and arrays as written", () => {
    const text = '{"a": 1, "b\\"": {"x": [1.0, "}]"], "b": {}} , "c":[ ], "d": "{}"}';
    expect([...nestedTexts(text)]).toEqual([
      ['b"', '{"x": [1.0, "}]"], "b": {}}'],
      ["c", "[ ]"],
    ]);
  });
});
