import { expect, it } from "vitest";
import { bars } from "../datasets/bars.ts";
import { foldBatch } from "../datasets/derive/fold-batch.ts";
import { RowBatch } from "../datasets/derive/row-batch.ts";
import { KeyRanges } from "./key-ranges.ts";

/** Of rows such as `b3`: the series and the minute. */
function ranges(...keys: string[]): KeyRanges {
  const batch = new RowBatch(bars, keys.length);
  for (const key of keys) {
    const prices = { open_price: 1, high_price: 1, low_price: 1, close_price: 1, volume: 1 };
    const ts = new Date(Date.UTC(2026, 0, 5, 0, Number(key[1])));
    expect(batch.add({ vendor: "x", symbol: key[0], timeframe: "1m", ts, ...prices })).toBeUndefined();
  }
  const ids = Int32Array.from(batch.series, ([, symbol]) => symbol!.toLowerCase().charCodeAt(0));
  return new KeyRanges(batch, ids, foldBatch(batch, ids).groups[0]!);
}

it.each([
  [["a1", "a2"], ["a3"], false],
  [["a1", "a3"], ["a2"], true],
  [["a1"], ["a1"], true],
  [["a3", "b1"], ["b2", "a4"], false],
  [["a3", "c1"], ["b1", "c1", "d9"], true],
  [["a1", "c1"], ["b1", "d1"], false],
  [["b1", "b5", "a9"], ["a1", "b5"], true],
])("%j and %j may share a key: %j", (one, other, expected) => {
  expect(ranges(...one).meets(ranges(...other))).toBe(expected);
  expect(ranges(...other).meets(ranges(...one))).toBe(expected);
});

it("spans all series", () => {
  const [first, last] = ranges("b4", "a2", "c9", "a5").span;
  expect(last - first).toBe(7 * 60_000_000);
});
