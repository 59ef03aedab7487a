/**
 * Writes bars and reads them back. Needs a migrated database in DATABASE_URL (`npx mds migrate`):
 * `DATABASE_URL=postgresql://… node examples/write-and-read.ts`. Outside this repository import "market-data-store".
 */
import { type BarInput, formatTime, openStore } from "../src/index.ts";

const store = await openStore({ url: process.env["DATABASE_URL"] ?? "", tenant: "default" });

// A row names its series (vendor, symbol, timeframe) and the start of its interval; times carry a zone.
const series = { vendor: "example", symbol: "AAPL", timeframe: "1d" };
const bars: BarInput[] = [
  {
    ...{ ...series, ts: "2024-01-02T00:00:00Z", volume: 82_488_674 },
    ...{ open_price: 187.15, high_price: 188.44, low_price: 183.885, close_price: 185.64 },
  },
  {
    ...{ ...series, ts: "2024-01-03T00:00:00Z", volume: 58_414_460 },
    ...{ open_price: 184.22, high_price: 185.88, low_price: 183.43, close_price: 184.25 },
  },
  // Impossible, so it is rejected, with its reason, and costs nothing else.
  {
    ...{ ...series, ts: "2024-01-04T00:00:00Z", volume: 71_983_570 },
    ...{ open_price: 182.15, high_price: 180, low_price: 180.88, close_price: 181.91 },
  },
];
const { inserted, unchanged, rejections } = await store.bars.upsert(bars);
console.log(`${inserted} inserted, ${unchanged} unchanged; rejected: ${rejections[0]?.message}`);

// Rows come in batches, in constant memory; a window is half-open, start <= ts < end.
const year = { start: "2024-01-01T00:00:00Z", end: "2025-01-01T00:00:00Z" };
for await (const batch of store.bars.read({ ...series, ...year })) {
  for (const bar of batch) console.log(formatTime(bar.ts), bar.close_price);
}

// The same as typed arrays, for arithmetic over many bars.
const { length, values } = await store.bars.readColumns({ ...series, ...year });
console.log(`mean close of ${length} bars:`, values.close_price.reduce((sum, close) => sum + close, 0) / length);

for (const { symbol, price } of await store.bars.latest({ symbols: ["AAPL"] })) console.log("latest", symbol, price);

await store.close();
