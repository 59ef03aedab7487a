/** Bars for tests. */
import type { BarInput } from "../../src/datasets/bars.ts";

const MINUTE_US = 60_000_000n;
const START_US = BigInt(Date.UTC(2024, 0, 2, 14, 30)) * 1_000n;

/** A possible 1m bar: number `at` of its series. */
export function bar(at: number, fields: Partial<BarInput> = {}): BarInput {
  const price = 100 + (at % 500) / 100;
  return {
    vendor: "test",
    symbol: "AAA",
    timeframe: "1m",
    ts: START_US + BigInt(at) * MINUTE_US,
    open_price: price,
    high_price: price + 1,
    low_price: price - 1,
    close_price: price + 0.5,
    volume: 1_000 + at,
    ...fields,
  };
}

/** The first `count` bars of a series. */
export function manyBars(count: number, fields: Partial<BarInput> = {}): BarInput[] {
  return Array.from({ length: count }, (_, at) => bar(at, fields));
}

/** All rows of a batched reading. */
export async function collect<Row>(batches: AsyncIterable<Row[]>): Promise<Row[]> {
  const all: Row[] = [];
  for await (const batch of batches) all.push(...batch);
  return all;
}

/** A CSV file of so many bars of a series, from one of them on. */
export function barsCsv(from: number, count: number, symbol = "AAA"): string {
  const lines = Array.from({ length: count }, (_, at) => {
    const { ts, ...row } = bar(from + at, { symbol });
    const time = new Date(Number((ts as bigint) / 1_000n)).toISOString();
    const prices = [row.open_price, row.high_price, row.low_price, row.close_price];
    return ["test", symbol, "1m", time, ...prices, row.volume].join(",");
  });
  return `${["vendor,symbol,timeframe,ts,open,high,low,close,volume", ...lines].join("\n")}\n`;
}
