/** Windows as Arrow IPC streams: what the library's reader makes of them is what readColumns gives. */
import { type Table, tableFromIPC } from "@uwdata/flechette";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { DATASET_NAMES } from "../../src/datasets/registry.ts";
import { refresh } from "../support/aggregates.ts";
import { bar, collect, manyBars } from "../support/bars.ts";
import { ROWS } from "../support/hostile-rows.ts";
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

async function tableOf(pieces: AsyncIterable<Uint8Array>): Promise<Table> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(Uint8Array.from(piece));
  return tableFromIPC(Buffer.concat(all), { useBigInt: true, useBigIntTimestamp: true });
}

/** The library's reader takes a text's first U+FEFF for a mark of its encoding. */
const asRead = (value: unknown): unknown => (typeof value === "string" ? value.replace(/^\ufeff/, "") : value);

const columnOf = (table: Table, name: string): unknown[] => [...table.getChild(name)];

describe.each(DATASET_NAMES)("%s", (name) => {
  it("come back row for row", async () => {
    const rows = fc.sample(ROWS[name], { numRuns: 300, seed: 3 }).map((row) => ({ vendor: "arrow", ...row }));
    expect((await store.dataset(name).upsert(rows)).inserted).toBeGreaterThan(50);
    const stored = await collect(store.dataset(name).read({ vendor: "arrow" }, { jsonAsText: true }));
    const table = await tableOf(store.dataset(name).readArrow({ vendor: "arrow" }));
    expect(table.numRows).toBe(stored.length);
    for (const column of table.names) {
      expect(columnOf(table, column as string)).toEqual(stored.map((row) => asRead(row[column as string])));
    }
    expect(table.names).toEqual(Object.keys(stored[0]!));
  });
});

it("has exact types, and columns of which nothing is null say so", async () => {
  await store.bars.upsert([
    bar(0, { symbol: "TYPES", trade_count: 2n ** 60n }),
    bar(1, { symbol: "TYPES", vwap: 1.5 }),
  ]);
  const table = await tableOf(store.bars.readArrow({ symbol: "TYPES" }));
  const types = Object.fromEntries(
    table.schema.fields.map(({ name, type, nullable }) => [name, { ...type, nullable }]),
  );
  expect(types["symbol"]).toMatchObject({ typeId: -1, dictionary: { typeId: 5 }, nullable: false });
  expect(types["ts"]).toMatchObject({ typeId: 10, unit: 2, timezone: "UTC", nullable: false });
  expect(types["open_price"]).toMatchObject({ typeId: 3, precision: 2, nullable: false });
  expect(types["trade_count"]).toMatchObject({ typeId: 2, bitWidth: 64, signed: true, nullable: true });
  expect(columnOf(table, "trade_count")).toEqual([2n ** 60n, null]);
  expect(columnOf(table, "vwap")).toEqual([null, 1.5]);
  expect(table.getChild("open_price").nullCount).toBe(0);
});

it("holds many batches and series, limits and order as readColumns does", async () => {
  const rows = ["MANY1", "MANY2", "MANY3"].flatMap((symbol, at) =>
    manyBars(15_000, { symbol, ...(at === 1 && { vwap: 3 }) }),
  );
  await store.bars.upsert(rows);
  for (const more of [{}, { limit: 20_001 }, { newestFirst: true, limit: 31_000 }]) {
    const query = { vendor: "test", symbol: ["MANY3", "MANY1", "MANY2"], ...more };
    const columns = await store.bars.readColumns(query);
    const table = await tableOf(store.bars.readArrow(query));
    expect(table.numRows).toBe(columns.length);
    expect(table.getChild("ts").data.length).toBeGreaterThan(1);
    expect(columnOf(table, "ts")).toEqual([...columns.times]);
    expect(columnOf(table, "volume")).toEqual([...columns.values.volume]);
    expect(columnOf(table, "symbol")).toEqual(Array.from(columns.seriesAt, (at) => columns.series[at]!.symbol));
    const vwap = Array.from(columns.values.vwap, (value, at) => (columns.nulls.vwap[at] === 1 ? null : value));
    expect(columnOf(table, "vwap")).toEqual(vwap);
  }
});

it("is a stream without rows where there are none", async () => {
  for (const query of [
    { symbol: "NOBODY" },
    { symbol: "TYPES", start: "1990-01-01T00:00:00Z", end: "1991-01-01T00:00:00Z" },
  ]) {
    const table = await tableOf(store.bars.readArrow(query));
    expect(table.numRows).toBe(0);
    expect(table.names).toEqual(
      [...store.bars.dataset.dimensions, store.bars.dataset.time, ...store.bars.dataset.values].map(({ name }) => name),
    );
  }
});

it("says which series an aggregate answers for", async () => {
  await store.bars.upsert(manyBars(30, { symbol: "AGGREGATED" }));
  await refresh(database);
  const sources: unknown[] = [];
  const query = { symbol: "AGGREGATED", timeframe: "5m" };
  const table = await tableOf(
    store.bars.readArrow(query, { onSeries: (all) => sources.push(...all.map(({ source }) => source)) }),
  );
  expect(sources).toEqual(["aggregated"]);
  expect([table.numRows, columnOf(table, "timeframe")[0]]).toEqual([6, "5m"]);
});

it("gives its connection back when it is left early", async () => {
  const one = await openStore({ url: database.url, maxConnections: 1 });
  for await (const _ of one.bars.readArrow({ symbol: "MANY1" })) break;
  for await (const piece of one.bars.readArrow({ symbol: "MANY1" })) if (piece.length > 100_000) break;
  expect((await one.bars.readColumns({ symbol: "TYPES" })).length).toBe(2);
  await one.close();
});
