import { describe, expect, it } from "vitest";
import { showValue } from "./show-value.ts";

describe("showValue", () => {
  it.each([
    ["abc", '"abc"'],
    ['say "hi"', '"say \\"hi\\""'],
    ["", '""'],
    [12.5, "12.5"],
    [Number.NaN, "NaN"],
    [12n, "12"],
    [null, "null"],
    [undefined, "undefined"],
    [true, "true"],
    [[1], "an array"],
    [{ a: 1 }, "an object"],
    [new Date(Number.NaN), "a Date"],
    [() => 1, "a function"],
    [Symbol("x"), "a symbol"],
  ])("shows %o as %s", (value, shown) => {
    expect(showValue(value)).toBe(shown);
  });

  it("escapes what could move a cursor or turn the reading direction", () => {
    expect(showValue("\u001b[2J\u0000\n\u009b\u202e\u2028")).toBe('"\\u001b[2J\\u0000\\n\\u009b\\u202e\\u2028"');
  });

  it("cuts long values, never through a surrogate pair", () => {
    expect(showValue("x".repeat(1e6))).toBe(`"${"x".repeat(60)}…"`);
    expect(showValue(`${"x".repeat(59)}😀😀`)).toBe(`"${"x".repeat(59)}…"`);
    expect(showValue(10n ** 70n)).toHaveLength(61);
    expect(showValue(1n << 100_000n)).toBe("an integer of more than 256 bits");
  });

  it("runs no code of the value", () => {
    const hostile = { toString: () => expect.unreachable(), toJSON: () => expect.unreachable() };
    expect(showValue(hostile)).toBe("an object");
  });
});
