import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalJson, configFingerprint } from "./config-fingerprint.ts";

describe("canonicalJson", () => {
  it.each([
    ['{"a":[3,1,2],"b":1}', { b: 1, a: [3, 1, 2] }],
    ['{"a":{"c":true,"d":null}}', { a: { d: null, c: true } }],
    ['{"a":1,"b":1e+21,"c":0,"d":0.30000000000000004}', { a: 1.0, b: 1e21, c: -0, d: 0.1 + 0.2 }],
    ['{"a":9007199254740993}', { a: 9_007_199_254_740_993n }],
    ['{"b":"é\\n\u2028"}', { a: undefined, b: "é\n\u2028" }],
    ['{"":3,"10":1,"9":2}', { "10": 1, "9": 2, "": 3 }],
    // Code units, not code points: the emoji begins with \ud83d, which comes before \ufb33 (RFC 8785, 3.2.3).
    ['{"😀":2,"\ufb33":1}', { "\ufb33": 1, "😀": 2 }],
    ["{}", {}],
  ])("writes %s without white space and with sorted members", (text, config) => {
    expect(canonicalJson(config)).toBe(text);
  });

  it("means the same and does not depend on the order of members", () => {
    const shuffled = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(shuffled);
      if (typeof value !== "object" || value === null) return value;
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([name, each]) => [name, shuffled(each)]),
      );
    };
    const text = fc.string({ unit: "grapheme" });
    fc.assert(
      fc.property(fc.dictionary(text, fc.jsonValue({ maxDepth: 4 })), (config) => {
        const given = JSON.parse(JSON.stringify(config)) as Record<string, unknown>;
        expect(canonicalJson(shuffled(given) as typeof given)).toBe(canonicalJson(given));
        expect(JSON.parse(canonicalJson(given))).toEqual(given);
      }),
    );
  });

  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;
  it.each([
    ["a Date", { a: new Date(0) }],
    ["NaN", { a: Number.NaN }],
    ["undefined in an array", { a: [undefined] }],
    ["a Map", { a: new Map() }],
    ["half of a surrogate pair", { a: "\ud800" }],
    ["a cycle", cycle],
    ["an array", [1] as never],
    ["text", '{"a":1}' as never],
    ["null", null as never],
  ])("refuses %s", (_, config) => {
    expect(() => canonicalJson(config)).toThrow(expect.objectContaining({ code: "json_invalid" }));
  });
});

describe("configFingerprint", () => {
  it("is the first 16 hexadecimal digits of SHA-256", () => {
    // printf '%s' '{"a":1,"b":[2,3]}' | sha256sum
    expect(configFingerprint({ b: [2, 3], a: 1 })).toBe("efbd0040190fb087");
    expect(configFingerprint({})).toBe("44136fa355b3678a");
  });
});
