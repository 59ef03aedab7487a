/** Rows of all datasets that are hard to write to a file and read again: texts, numbers, times and JSON of any kind. */
import fc from "fast-check";
import type { DatasetName } from "../../src/datasets/registry.ts";

const hostile = (maxLength: number) =>
  fc
    .oneof(
      fc.string({ unit: "binary", maxLength }),
      fc.constantFrom('"', "\\", "\n", "\r\n", "\t", ",", "\\N", "\\.", '","', "'", " ", "\u2028", "🙂", "\ufeff"),
      fc
        .array(fc.constantFrom('"', "\\", "\n", "\r", ",", " ", "a", "🙂"), { maxLength })
        .map((parts) => parts.join("")),
    )
    .filter((text) => !text.includes("\0") && text.isWellFormed());
const json = fc
  .array(
    fc.tuple(
      hostile(8),
      fc.oneof(
        hostile(12).map((text) => JSON.stringify(text)),
        fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
        fc.bigInt().map(String),
        fc.constantFrom("null", "true", "[]", '{"": [0.10]}', "12345678901234567890.123456789012345678901234567890"),
      ),
    ),
    { maxLength: 4 },
  )
  .map((members) => `{${members.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`);
const float = fc.double({ noNaN: true, noDefaultInfinity: true });
const time = fc.bigInt({ min: -2_208_988_800_000_000n, max: 1_700_000_000_000_000n });
const decimal = (digits: number, scale: number) =>
  fc.bigInt({ min: -(10n ** BigInt(digits)) + 1n, max: 10n ** BigInt(digits) - 1n }).map((value) => {
    const text = (value < 0n ? -value : value).toString().padStart(scale + 1, "0");
    return `${value < 0n ? "-" : ""}${text.slice(0, -scale)}.${text.slice(-scale)}`;
  });
const int = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value);

/** Rows of each dataset without their vendor. */
export const ROWS: Record<DatasetName, fc.Arbitrary<Record<string, unknown>>> = {
  bars: fc.record({
    symbol: fc.constantFrom("A", 'B,"C', "Ünï"),
    timeframe: fc.constantFrom("1m", "1mo"),
    ts: time,
    open_price: fc.constant(1),
    low_price: float.map((value) => -Math.abs(value)),
    high_price: float.map((value) => Math.abs(value) + 1),
    close_price: fc.constant(0.5),
    volume: float.map(Math.abs),
    trade_count: optional(int),
    vwap: optional(float),
  }),
  options: fc.record({
    symbol: fc.constantFrom("A", "B"),
    expiry: fc.constantFrom("1999-12-31", "2024-02-29"),
    option_type: fc.constantFrom("C", "P"),
    strike: fc.constantFrom("0.000001", "492.5", "999999999999.999999", "100"),
    ts: time,
    bid: optional(float),
    iv: optional(float),
    oi: optional(int),
  }),
  fundamentals: fc.record({
    symbol: fc.constantFrom("A", "B"),
    asof: time,
    total_assets: optional(decimal(25, 2)),
    eps: optional(decimal(14, 6)),
    metrics: optional(json),
  }),
  news: fc.record({
    published_at: time,
    symbol: optional(hostile(10)),
    title: hostile(40),
    url: hostile(40),
    sentiment_score: optional(fc.double({ min: -1, max: 1, noNaN: true })),
    metadata: optional(json),
  }),
  signals: fc.record({
    symbol: fc.constantFrom("A", "B"),
    name: fc.constantFrom("m", "n"),
    ts: time,
    value: float,
    score: optional(float),
    metadata: optional(json),
  }),
};
