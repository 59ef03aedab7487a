import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import type { BarInput } from "../../src/datasets/bars.ts";
import { collect } from "../support/bars.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let store: Store;

beforeAll(async () => {
  database = await createTestDatabase();
  store = await openStore({ url: database.url });
});

afterAll(async () => {
  await store.close();
  await database.drop();
});

const PRICES = ["open_price", "high_price", "low_price", "close_price"] as const;
const REQUIRED = [...PRICES, "volume"] as const;
type Values = Partial<Record<(typeof REQUIRED)[number] | "vwap" | "trade_count", number | null>>;
interface Step {
  readonly key: number;
  readonly values: Values;
}

const price = fc.integer({ min: 1, max: 3 });
const whole = fc
  .record({ low: price, high: price, volume: fc.nat(3) })
  .map(({ low, high, volume }) => ({ open_price: low, close_price: low, low_price: low, high_price: high, volume }));
const partial = fc.record(
  { open_price: price, high_price: price, low_price: price, close_price: price, volume: fc.nat(3) },
  { requiredKeys: [] },
);
const optional = fc.record({ vwap: fc.option(price), trade_count: fc.option(fc.nat(3)) }, { requiredKeys: [] });
const step: fc.Arbitrary<Step> = fc.record({
  key: fc.nat(3),
  values: fc.tuple(fc.oneof(whole, partial), optional).map(([a, b]) => ({ ...a, ...b })),
});

/** One row at a time: what the documentation promises. */
function apply(stored: Map<number, Values>, { key, values }: Step): boolean {
  const row: Values = { vwap: null, trade_count: null, ...stored.get(key), ...values };
  if (REQUIRED.some((name) => row[name] === undefined)) return false;
  const [open, high, low, close] = PRICES.map((name) => row[name]!) as [number, number, number, number];
  if (low > Math.min(open, close, high) || high < Math.max(open, close)) return false;
  stored.set(key, row);
  return true;
}

const keyOf = (symbol: string, key: number) => ({
  vendor: "model",
  symbol,
  timeframe: "1m",
  ts: BigInt(Date.UTC(2024, key * 2)) * 1_000n,
});

it("an upsert of any rows in any batches ends as if they had come one at a time", async () => {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.integer({ min: 1, max: 12 }), async (steps, batchRows) => {
      const symbol = `S${run++}`;
      const expected = new Map<number, Values>();
      const refused = steps.filter((one) => !apply(expected, one)).length;
      const rows = steps.map(({ key, values }) => ({ ...keyOf(symbol, key), ...values }) as BarInput);
      const result = await store.bars.upsert(rows, { batchRows });
      expect(result.rejected).toBe(refused);
      expect(result.inserted).toBe(expected.size);
      expect(result.inserted + result.updated + result.unchanged + result.superseded + result.rejected).toBe(
        steps.length,
      );
      const stored = await collect(store.bars.read({ symbol }));
      const wanted = [...expected].sort(([a], [b]) => a - b);
      expect(stored).toEqual(
        wanted.map(([key, { trade_count, ...values }]) => ({
          ...keyOf(symbol, key),
          ...values,
          trade_count: trade_count == null ? null : BigInt(trade_count),
        })),
      );
    }),
    { numRuns: 150 },
  );
});
