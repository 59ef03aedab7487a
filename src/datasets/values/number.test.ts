import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseFloat8, parseInt8 } from "./number.ts";

/** The value of decimal text as numerator and denominator, the slow and obvious way. */
function rational(text: string): [bigint, bigint] {
  const [, sign, whole, fraction = "", exponent = "0"] = /^([+-]?)(\d*)\.?(\d*)(?:e([+-]?\d+))?$/i.exec(text)!;
  const power = Number(exponent) - fraction.length;
  const digits = BigInt(`0${whole}${fraction}`) * (sign === "-" ? -1n : 1n);
  return power >= 0 ? [digits * 10n ** BigInt(power), 1n] : [digits, 10n ** BigInt(-power)];
}

function sameValue(a: string, b: string): boolean {
  const [n1, d1] = rational(a);
  const [n2, d2] = rational(b);
  return n1 * d2 === n2 * d1;
}

const decimalText = fc
  .tuple(
    fc.constantFrom("", "-", "+"),
    fc.stringMatching(/^[0-9]{1,20}$/),
    fc.stringMatching(/^(\.[0-9]{0,20})?$/),
    fc.oneof(
      fc.constant(""),
      fc.integer({ min: -345, max: 320 }).map((power) => `e${power}`),
    ),
  )
  .map((parts) => parts.join(""));

describe("parseFloat8", () => {
  it.each([
    ["611.78", 611.78],
    ["-0.5", -0.5],
    ["+12", 12],
    ["5.", 5],
    [".5", 0.5],
    ["007", 7],
    [" 12.5\t", 12.5],
    ["1e-7", 1e-7],
    ["1.5E+10", 1.5e10],
    ["123456789012345", 123456789012345],
    ["0.30000000000000004", 0.30000000000000004],
    ["1.000000000000000000000000", 1],
    ["0.000000000000000000000000", 0],
    ["5e-324", 5e-324],
    ["2.2250738585072014e-308", 2.2250738585072014e-308],
    ["1.7976931348623157e308", Number.MAX_VALUE],
    ["0e999", 0],
    [12.5, 12.5],
    [9007199254740992n, 9007199254740992],
    [10n ** 20n, 1e20],
  ])("reads %o", (value, number) => {
    expect(parseFloat8("open_price", value)).toBe(number);
  });

  it("makes negative zero zero", () => {
    for (const value of [-0, "-0", "-0.0", "-0e5", "-0.00000000000000000000000"]) {
      expect(parseFloat8("open_price", value)).toBe(0);
    }
  });

  it.each([
    ...["", " ", "abc", "NaN", "nan", "Infinity", "-inf", "0x10", "0b1", "1_000", "1,000", "1 000", "1.2.3", "--1"],
    ...["-", ".", "+", "e5", "1e", "1e+", "1e1.5", "$1", "1%", "１２", "1\u00002", "12abc", "1-2", "0o7"],
    ...[Number.NaN, Number.POSITIVE_INFINITY, null, undefined, true, {}, [], [1], new Date(), Symbol("x")],
    "9".repeat(2_000),
  ])("rejects %o as number_invalid", (value) => {
    expect(parseFloat8("open_price", value)).toMatchObject({ code: "number_invalid" });
  });

  it.each([
    "9007199254740993",
    "0.1000000000000000055511151231257827",
    "123456789012345678",
    "1e-400",
    "-1e-400",
    "4e-324",
    "1e309",
    "1e99999999999999999999",
    "1e-99999999999999999999",
    9007199254740993n,
    10n ** 400n,
    -(10n ** 400n),
  ])("rejects %o as number_not_exact", (value) => {
    expect(parseFloat8("open_price", value)).toMatchObject({ code: "number_not_exact" });
  });

  it("says the column, the value and why", () => {
    expect(parseFloat8("open_price", "abc")).toEqual({
      code: "number_invalid",
      message: 'open_price is "abc", which is not a decimal number.',
    });
    expect(parseFloat8("volume", "9007199254740993")).toEqual({
      code: "number_not_exact",
      message: 'volume is "9007199254740993", which a float8 cannot keep exactly; the nearest is 9007199254740992.',
    });
  });

  it("keeps a decimal exactly or rejects it, never rounds", () => {
    fc.assert(
      fc.property(decimalText, (text) => {
        const parsed = parseFloat8("open_price", text);
        const nearest = Number(text);
        const isKept = Number.isFinite(nearest) && sameValue(text, String(nearest));
        if (isKept) expect(parsed).toBe(nearest + 0);
        else expect(parsed).toMatchObject({ code: "number_not_exact" });
      }),
      { numRuns: 3_000 },
    );
  });

  it("keeps every decimal of up to 15 digits", () => {
    const text = fc
      .tuple(fc.constantFrom("", "-"), fc.integer({ min: 0, max: 999_999_999_999_999 }), fc.nat(15))
      .map(([sign, digits, scale]) => {
        const padded = String(digits).padStart(scale + 1, "0");
        return `${sign}${padded.slice(0, padded.length - scale)}.${padded.slice(padded.length - scale)}`;
      });
    fc.assert(
      fc.property(text, (decimal) => {
        expect(parseFloat8("v", decimal)).toBe(Number(decimal) + 0);
      }),
    );
  });

  it("reads back every float8 from its shortest form", () => {
    const float = fc.double({ noNaN: true, noDefaultInfinity: true });
    fc.assert(
      fc.property(float, (number) => {
        expect(parseFloat8("v", String(number))).toBe(number + 0);
      }),
    );
  });
});

describe("parseInt8", () => {
  it.each([
    ["12", 12n],
    ["-12", -12n],
    ["+12", 12n],
    ["12.0", 12n],
    ["12.", 12n],
    ["1e3", 1000n],
    ["1.2e1", 12n],
    [" 12 ", 12n],
    ["-0", 0n],
    ["0.000", 0n],
    ["9223372036854775807", 9223372036854775807n],
    ["-9223372036854775808", -9223372036854775808n],
    ["9223372036854775807.00", 9223372036854775807n],
    [12, 12n],
    [-0, 0n],
    [9007199254740991, 9007199254740991n],
    [12n, 12n],
    [-(2n ** 63n), -(2n ** 63n)],
  ])("reads %o", (value, integer) => {
    expect(parseInt8("trade_count", value)).toBe(integer);
  });

  it.each([
    ["", "number_invalid"],
    ["abc", "number_invalid"],
    ["1,000", "number_invalid"],
    ["0x10", "number_invalid"],
    ["NaN", "number_invalid"],
    [Number.NaN, "number_invalid"],
    [null, "number_invalid"],
    [true, "number_invalid"],
    ["12.5", "number_not_exact"],
    ["12.000000000000000000000000001", "number_not_exact"],
    ["1e-5", "number_not_exact"],
    [12.5, "number_not_exact"],
    [2 ** 53, "number_not_exact"],
    ["9223372036854775808", "number_out_of_range"],
    ["-9223372036854775809", "number_out_of_range"],
    ["1e19", "number_out_of_range"],
    ["1e999999999", "number_out_of_range"],
    [2n ** 63n, "number_out_of_range"],
    [1n << 100_000n, "number_out_of_range"],
  ])("rejects %o as %s", (value, code) => {
    expect(parseInt8("trade_count", value)).toMatchObject({ code });
  });

  it("reads back every int8", () => {
    const int8 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    fc.assert(
      fc.property(int8, (integer) => {
        expect(parseInt8("v", String(integer))).toBe(integer);
      }),
    );
  });
});
