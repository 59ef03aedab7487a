/** Rows as columns: stored, counted and rejected as the same rows are as objects. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { openTrustedLoad } from "../../src/client/trusted-load.ts";
import type { AnyColumnBatch } from "../../src/client/upsert-columns.ts";
import { DATASET_NAMES } from "../../src/datasets/registry.ts";
import { collect, manyBars } from "../support/bars.ts";
import { ROWS } from "../support/hostile-rows.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let store: Store;
let other: Store;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.sql("select mds.create_tenant('other', 'other')");
  store = await openStore({ url: database.url });
  other = await openStore({ url: database.url, tenant: "other" });
});

afterAll(async () => {
  await Promise.all([store.close(), other.close()]);
  await database.drop();
});

const TIMES = BigInt64Array.of(1_704_205_800_000_000n, 1_704_205_860_000_000n, 1_704_205_920_000_000n);
const prices = (...values: number[]): Float64Array => Float64Array.from(values);

/** Three bars of one series. */
function three(symbol: string) {
  return {
    series: [{ vendor: "columns", symbol, timeframe: "1m" }],
    seriesAt: Int32Array.of(0, 0, 0),
    times: TIMES,
    values: {
      open_price: prices(1, 2, 3),
      high_price: prices(1, 2, 3),
      low_price: prices(1, 2, 3),
      close_price: prices(1, 2, 3),
      volume: prices(1, 2, 3),
      vwap: prices(1, 2, Number.NaN),
    },
    nulls: { vwap: Uint8Array.of(0, 0, 1) },
  };
}

describe.each(DATASET_NAMES)("%s", (name) => {
  it("are what readColumns gives, and change nothing the second time", async () => {
    const rows = fc.sample(ROWS[name], { numRuns: 300, seed: 5 }).map((row) => ({ vendor: "columns", ...row }));
    await store.dataset(name).upsert(rows);
    const columns = await store[name].readColumns({ vendor: "columns" });
    expect(columns.length).toBeGreaterThan(50);
    const batch = columns as unknown as AnyColumnBatch;
    const counts = { updated: 0, superseded: 0, rejected: 0 };
    expect(await other.dataset(name).upsertColumns(batch)).toMatchObject({ inserted: columns.length, ...counts });
    expect(await other.dataset(name).upsertColumns(batch)).toMatchObject({ unchanged: columns.length, ...counts });
    expect(await collect(other.dataset(name).read({}, { jsonAsText: true }))).toEqual(
      await collect(store.dataset(name).read({ vendor: "columns" }, { jsonAsText: true })),
    );
  });
});

it("keep what is stored of columns that are left out", async () => {
  const { values, nulls, ...keys } = three("PARTIAL");
  await store.bars.upsertColumns({ ...keys, values, nulls });
  const result = await store.bars.upsertColumns({ ...keys, values: { volume: prices(7, 8, 9) } });
  expect(result).toMatchObject({ updated: 3 });
  expect(await collect(store.bars.read({ symbol: "PARTIAL" }))).toMatchObject([
    { open_price: 1, volume: 7, vwap: 1 },
    { open_price: 2, volume: 8, vwap: 2 },
    { open_price: 3, volume: 9, vwap: null },
  ]);
});

it("reject a row as ever, with its place and its values", async () => {
  const batch = three("REJECTED");
  batch.values.low_price[1] = 5;
  batch.values.volume[2] = Number.NaN;
  const result = await store.bars.upsertColumns(batch);
  expect(result).toMatchObject({ inserted: 1, rejected: 2 });
  expect(result.rejections).toMatchObject([
    { index: 1, code: "bar_impossible", row: { symbol: "REJECTED", ts: TIMES[1], low_price: 5, vwap: 2 } },
    { index: 2, code: "number_invalid", row: { ts: TIMES[2], vwap: null } },
  ]);
  const late = { ...three("REJECTED"), times: BigInt64Array.of(-(2n ** 63n), 0n, 2n ** 63n - 1n) };
  expect((await store.bars.upsertColumns(late)).rejections.map(({ index, code }) => [index, code])).toEqual([
    [0, "time_out_of_range"],
    [2, "time_out_of_range"],
  ]);
});

it("go as a trusted load, too", async () => {
  await using trusted = await openTrustedLoad({ url: database.url, adminUrl: database.adminUrl });
  await store.bars.upsert(manyBars(500, { symbol: "SOURCE" }));
  const { series, ...columns } = await store.bars.readColumns({ symbol: "SOURCE" });
  const batch = { ...columns, series: series.map((one) => ({ ...one, symbol: "TRUSTED" })) };
  expect(await trusted.dataset("bars").upsertColumns(batch)).toMatchObject({ inserted: 500, copied: 500 });
  expect(await trusted.dataset("bars").upsertColumns(batch)).toMatchObject({ unchanged: 500, copied: 0 });
});

it("are refused where there are none, and where a name is misspelt", async () => {
  await expect(store.bars.upsertColumns(undefined as never)).rejects.toMatchObject({
    code: "usage",
    message: "upsertColumns needs an object with series, seriesAt, times, values, nulls; it was given undefined.",
  });
  const { nulls: isNull, ...batch } = three("REFUSED");
  await expect(store.bars.upsertColumns({ ...batch, isNull } as never)).rejects.toMatchObject({
    code: "usage",
    message: 'upsertColumns has no "isNull"; it has series, seriesAt, times, values, nulls.',
  });
});

it.each<[string, (batch: ReturnType<typeof three>) => unknown]>([
  ["series is not an array of the series' dimensions", (batch) => ({ ...batch, series: "AAPL" })],
  ["series[0] has no symbol", (batch) => ({ ...batch, series: [{ vendor: "x", timeframe: "1m" }] })],
  ["seriesAt is not an Int32Array", (batch) => ({ ...batch, seriesAt: [0, 0, 0] })],
  ["seriesAt has 2 entries and times has 3", (batch) => ({ ...batch, seriesAt: Int32Array.of(0, 0) })],
  ["seriesAt[1] is 1, and there are 1 series", (batch) => ({ ...batch, seriesAt: Int32Array.of(0, 1, 0) })],
  ["times is not a BigInt64Array of microseconds since the epoch", (batch) => ({ ...batch, times: [...batch.times] })],
  ["values is no object of arrays", (batch) => ({ ...batch, values: undefined })],
  [
    'values has "close", which is none of open_price, high_price',
    (batch) => ({ ...batch, values: { close: prices(1) } }),
  ],
  ["values.volume is not a Float64Array", (batch) => ({ ...batch, values: { volume: [1, 2, 3] } })],
  ["values.volume has 1 entries and times has 3", (batch) => ({ ...batch, values: { volume: prices(1) } })],
  [
    'nulls has "volume", which is none of trade_count, vwap',
    (batch) => ({ ...batch, nulls: { volume: new Uint8Array(3) } }),
  ],
  [
    "nulls.trade_count comes without values.trade_count",
    (batch) => ({ ...batch, nulls: { trade_count: new Uint8Array(3) } }),
  ],
  ["nulls.vwap has 1 entries and times has 3", (batch) => ({ ...batch, nulls: { vwap: new Uint8Array(1) } })],
])("are refused in one sentence: %s", async (sentence, change) => {
  const refused = store.bars.upsertColumns(change(three("REFUSED")) as never);
  await expect(refused).rejects.toMatchObject({
    code: "usage",
    message: expect.stringContaining(`The columns cannot be rows: ${sentence}`),
  });
  expect(await store.bars.series({ symbol: "REFUSED" })).toEqual([]);
});
