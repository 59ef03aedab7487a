import { describe, expect, it } from "vitest";
import { laneOf, streamHash } from "./lane-of.ts";

const LANES = 8;
const stream = { tenantId: "00000000-0000-4000-8000-000000000001", dataset: "bars" } as const;
const lane = (row: unknown): number => laneOf(streamHash(stream), "bars", row, LANES);
const bar = { vendor: "polygon", symbol: "AAPL", timeframe: "1h", ts: 1n };

describe("laneOf", () => {
  it("is the same for all rows of a key, however its parts are spelled", () => {
    const own = lane(bar);
    for (const row of [
      { ...bar, ts: 2n },
      { ...bar, timeframe: "60m" },
      { ...bar, symbol: " AAPL\n" },
      { ...bar, vendor: "\u00a0polygon" },
    ]) {
      expect(lane(row)).toBe(own);
    }
    const option = { vendor: "v", symbol: "S", expiry: "2026-01-16", option_type: "C", strike: 5 };
    const ofOption = (row: unknown): number =>
      laneOf(streamHash({ ...stream, dataset: "options" }), "options", row, LANES);
    expect(ofOption({ ...option, strike: "5.00", option_type: "call" })).toBe(ofOption(option));
  });

  it("spreads symbols, tenants and articles over all lanes", () => {
    const used = (lanes: number[]): number => new Set(lanes).size;
    const numbers = Array.from({ length: 200 }, (_, at) => at);
    expect(used(numbers.map((at) => lane({ ...bar, symbol: `SIM${at}` })))).toBe(LANES);
    const tenants = numbers.map((at) =>
      laneOf(streamHash({ ...stream, tenantId: `tenant-${at}` }), "bars", bar, LANES),
    );
    expect(used(tenants)).toBe(LANES);
    const news = streamHash({ ...stream, dataset: "news" });
    const articles = numbers.map((at) => laneOf(news, "news", { vendor: "v", title: `t${at}`, url: "u" }, LANES));
    expect(used(articles)).toBe(LANES);
    // None has much more than its part.
    const most = Math.max(...Array.from({ length: LANES }, (_, at) => tenants.filter((one) => one === at).length));
    expect(most).toBeLessThan(60);
  });

  it("has a place for what is no row at all", () => {
    for (const row of [null, undefined, 5, "text", [], {}, { vendor: 5, symbol: null }]) {
      expect(lane(row)).toBeGreaterThanOrEqual(0);
      expect(lane(row)).toBeLessThan(LANES);
    }
  });
});
