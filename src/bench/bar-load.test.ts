import { describe, expect, it } from "vitest";
import { halvesOf, makeBars, SHAPES, type Shape } from "./bar-load.ts";

const keys = (bars: Iterable<{ symbol: string; ts: unknown }>): string[] =>
  Array.from(bars, ({ symbol, ts }) => `${symbol} ${(ts as Date).toISOString()}`);

describe("loads of bars", () => {
  it.each(Object.keys(SHAPES) as Shape[])(
    "%s: has its series, no bar twice, and two halves that make the whole",
    (shape) => {
      const bars = makeBars(20_000, shape);
      const all = keys(bars);
      expect(all).toHaveLength(20_000);
      expect(new Set(all).size).toBe(20_000);
      expect(new Set(Array.from(bars, ({ symbol }) => symbol)).size).toBe(SHAPES[shape].symbols);
      const [first, second] = halvesOf(bars, shape);
      expect([first.length, second.length]).toEqual([10_000, 10_000]);
      expect([...keys(first), ...keys(second)].toSorted()).toEqual(all.toSorted());
    },
  );

  it("has no bar in the future, however long a series is", () => {
    const times = Array.from(makeBars(1_000_000, "one series"), ({ ts }) => (ts as Date).getTime());
    expect(times.at(-1)).toBeLessThan(Date.UTC(2026, 0, 29));
    expect(times.at(-1)).toBeGreaterThan(Date.UTC(2026, 0, 1));
  });

  it("is shuffled in one way at every run, and holds the same bars as in order", () => {
    const shuffled = keys(makeBars(5_000, "shuffled"));
    const ordered = keys(makeBars(5_000, "by time"));
    expect(shuffled).toEqual(keys(makeBars(5_000, "shuffled")));
    expect(shuffled).not.toEqual(ordered);
    expect(shuffled.toSorted()).toEqual(ordered.toSorted());
  });
});
