import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseText } from "./text.ts";

describe("parseText", () => {
  it.each([
    ["AAPL", "AAPL"],
    ["aapl", "aapl"],
    [" BRK B\t", "BRK B"],
    ["BTC/USD", "BTC/USD"],
    ["茅台", "茅台"],
    ["😀".repeat(64), "😀".repeat(64)],
    ["x".repeat(64), "x".repeat(64)],
    [` ${"x".repeat(64)} `, "x".repeat(64)],
  ])("reads %o", (value, text) => {
    expect(parseText("symbol", value)).toBe(text);
  });

  it.each([
    ["", "text_empty"],
    [" \t ", "text_empty"],
    ["x".repeat(65), "text_too_long"],
    ["😀".repeat(65), "text_too_long"],
    ["x".repeat(1e6), "text_too_long"],
    ["a\0b", "nul_in_text"],
    ["\0", "nul_in_text"],
    [`${"x".repeat(100)}\0`, "nul_in_text"],
    ["a\nb", "text_invalid"],
    ["a\u001bb", "text_invalid"],
    ["a\u007fb", "text_invalid"],
    ["a\u0085b", "text_invalid"],
    ["a\ud800b", "text_invalid"],
    [12, "text_invalid"],
    [null, "text_invalid"],
    [["A"], "text_invalid"],
  ])("rejects %o as %s", (value, code) => {
    expect(parseText("symbol", value)).toMatchObject({ code, message: expect.stringMatching(/^symbol is .*\.$/) });
  });

  it("gives text that reads as itself", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 70 }), (value) => {
        const text = parseText("symbol", value);
        if (typeof text === "string") expect(parseText("symbol", text)).toBe(text);
      }),
    );
  });
});
