/** What is large in another way than many rows: very long values, and very many series. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
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

it("writes and reads rows of a megabyte each a few at a time", async () => {
  const text = "x".repeat(900_000);
  function* rows() {
    for (let at = 0; at < 40; at++) {
      const ts = new Date(Date.UTC(2024, 0, 1, 0, at));
      yield { vendor: "long", symbol: "A", name: "n", ts, value: at, metadata: { text } };
    }
  }
  const batches: number[] = [];
  const result = await store.signals.upsert(rows(), { onBatch: (soFar) => void batches.push(soFar.inserted) });
  expect(result).toMatchObject({ inserted: 40, rejected: 0 });
  expect(batches[0]).toBe(10);
  const read = store.signals.read({ vendor: "long" }, { jsonAsText: true });
  expect((await collect(read)).map(({ value }) => value)).toEqual(Array.from({ length: 40 }, (_, at) => at));
  const page = store.signals.readPages({ vendor: "long", limit: 25 });
  expect((await page.next()).value!.rows.length).toBe(25);
  await page.return(undefined);
});

it("makes pages smaller where rows are large", async () => {
  const text = "x".repeat(20_000);
  const rows = Array.from({ length: 900 }, (_, at) => ({
    vendor: "wide",
    symbol: "A",
    name: "n",
    ts: BigInt(at),
    value: at,
    metadata: { text },
  }));
  await store.signals.upsert(rows);
  const sizes: number[] = [];
  const values: number[] = [];
  for await (const batch of store.signals.read({ vendor: "wide" })) {
    sizes.push(batch.length);
    values.push(...batch.map(({ value }) => value));
  }
  expect(values).toEqual(Array.from({ length: 900 }, (_, at) => at));
  expect(sizes[0]).toBe(100);
  expect(sizes[1]).toBeLessThan(250);
});

it("reads a dataset of more than a hundred thousand series in the order of their dimensions", async () => {
  await store.options.upsert([
    { vendor: "v", symbol: "B", expiry: "2024-06-21", option_type: "C", strike: "1", ts: 0n, bid: 1 },
    { vendor: "v", symbol: "B", expiry: "2024-06-21", option_type: "C", strike: "100500", ts: 0n, bid: 2 },
    { vendor: "v", symbol: "C", expiry: "2024-06-21", option_type: "P", strike: "1", ts: 0n, bid: 3 },
    { vendor: "v", symbol: "a", expiry: "2024-06-21", option_type: "P", strike: "1", ts: 0n, bid: 4 },
  ]);
  await database.sql(
    `insert into store.options_series (tenant_id, vendor, symbol, expiry, option_type, strike)
     select $1, 'v', 'B', '2024-06-21', 'C', strike from generate_series(1, 100500) as strike on conflict do nothing`,
    [store.tenantId],
  );
  const rows = await collect(store.options.read({ vendor: "v" }));
  expect(rows.map(({ bid }) => bid)).toEqual([1, 2, 3, 4]);
  expect((await collect(store.options.read({ vendor: "v", limit: 2 }))).map(({ bid }) => bid)).toEqual([1, 2]);
  await expect(store.options.series({ vendor: "v" })).rejects.toMatchObject({ code: "window_too_large" });
});
