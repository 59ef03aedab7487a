/** Bars of a timeframe that is not stored are answered from the aggregate of one-minute bars, and the answer says so. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { bars } from "../../src/datasets/bars.ts";
import { dumpFiles } from "../../src/files/dump-files.ts";
import { refresh } from "../support/aggregates.ts";
import { bar, collect, manyBars } from "../support/bars.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let store: Store;

beforeAll(async () => {
  database = await createTestDatabase();
  store = await openStore({ url: database.url });
  for (const symbol of ["A", "B", "BOTH", "LONG"]) {
    await store.bars.upsert(manyBars(symbol === "LONG" ? 120_000 : 100, { symbol }));
  }
  await store.bars.upsert([bar(0, { symbol: "BOTH", timeframe: "5m", volume: 7, ts: "1999-01-04T00:00:00Z" })]);
  await store.bars.upsert([bar(0, { symbol: "STORED", timeframe: "5m", volume: 8 })]);
  // A series that was written once and has no row any more.
  await store.bars.upsert([bar(0, { symbol: "A", timeframe: "15m" })]);
  await database.sql(
    "delete from store.bars_data where series_id = (select series_id from store.bars_series where symbol = 'A' and timeframe = '15m')",
  );
  await refresh(database);
});

afterAll(async () => {
  await store.close();
  await database.drop();
});

const sourcesOf = async (query: object): Promise<string[]> => {
  const seen: string[] = [];
  const onSeries = (series: readonly Readonly<Record<string, string>>[]): void => {
    for (const one of series) seen.push(`${one["symbol"]} ${one["timeframe"]} ${one["source"]}`);
  };
  await collect(store.bars.read(query, { onSeries }));
  return seen;
};

describe("bars of a named timeframe", () => {
  it("come from the aggregate where none is stored, as rows like any others", async () => {
    const rows = await collect(store.bars.read({ symbol: "A", timeframe: "5m" }));
    expect(rows).toHaveLength(20);
    expect(rows[0]).toEqual({
      vendor: "test",
      symbol: "A",
      timeframe: "5m",
      ts: bar(0).ts,
      open_price: 100,
      high_price: 101.04,
      low_price: 99,
      close_price: 100.54,
      volume: 5_010,
      trade_count: null,
      vwap: null,
    });
    expect(await collect(store.bars.read({ symbol: "A", timeframe: "1h", newestFirst: true, limit: 1 }))).toMatchObject(
      [{ timeframe: "1h", ts: BigInt(Date.UTC(2024, 0, 2, 16)) * 1_000n }],
    );
  });

  it("are all stored or all aggregated of one series, wherever the window is, and are said to be", async () => {
    expect(await sourcesOf({ symbol: ["A", "BOTH", "STORED"], timeframe: "5m" })).toEqual([
      "A 5m aggregated",
      "BOTH 5m stored",
      "STORED 5m stored",
    ]);
    const query = { symbol: "BOTH", timeframe: "5m", start: "2024-01-01T00:00:00Z" } as const;
    expect(await collect(store.bars.read(query))).toEqual([]);
    expect(await collect(store.bars.read({ symbol: "BOTH", timeframe: "5m" }))).toMatchObject([{ volume: 7 }]);
  });

  it("come from the aggregate where a series has lost its last row", async () => {
    expect(await sourcesOf({ symbol: "A", timeframe: "15m" })).toEqual(["A 15m aggregated"]);
    expect(await collect(store.bars.read({ symbol: "A", timeframe: "15m" }))).toHaveLength(7);
  });

  it("of several timeframes and series keep their order and are not confused", async () => {
    const query = { symbol: ["A", "B", "BOTH"], timeframe: ["1d", "1m", "5m"] };
    expect(await sourcesOf(query)).toEqual([
      "A 1d aggregated",
      "A 1m stored",
      "A 5m aggregated",
      "B 1d aggregated",
      "B 1m stored",
      "B 5m aggregated",
      "BOTH 1d aggregated",
      "BOTH 1m stored",
      "BOTH 5m stored",
    ]);
    const rows = await collect(store.bars.read(query));
    const counts = new Map<string, number>();
    for (const { symbol, timeframe } of rows)
      counts.set(`${symbol} ${timeframe}`, (counts.get(`${symbol} ${timeframe}`) ?? 0) + 1);
    expect(Object.fromEntries(counts)).toEqual({
      "A 1d": 1,
      "A 1m": 100,
      "A 5m": 20,
      "B 1d": 1,
      "B 1m": 100,
      "B 5m": 20,
      "BOTH 1d": 1,
      "BOTH 1m": 100,
      "BOTH 5m": 1,
    });
  });

  it("as columns say for each series where it is from, across pages", async () => {
    const columns = await store.bars.readColumns({ symbol: ["A", "LONG", "STORED"], timeframe: "5m" });
    expect(columns.series.map(({ symbol, source }) => `${symbol} ${source}`)).toEqual([
      "A aggregated",
      "LONG aggregated",
      "STORED stored",
    ]);
    expect(columns.length).toBe(20 + 24_000 + 1);
    expect([columns.seriesAt[0], columns.seriesAt[20], columns.seriesAt[24_019], columns.seriesAt[24_020]]).toEqual([
      0, 1, 1, 2,
    ]);
    expect(new Set(columns.times.subarray(20, 24_020)).size).toBe(24_000);
  });

  it("are answered from nothing where there are no one-minute bars, of 30m, and of an aggregate that is off", async () => {
    expect(await sourcesOf({ symbol: "NONE", timeframe: "5m" })).toEqual([]);
    expect(await sourcesOf({ symbol: "A", timeframe: "30m" })).toEqual([]);
    await database.sql("update store.policies set enabled = false where dataset = 'bars_1h'");
    expect(await sourcesOf({ symbol: "A", timeframe: ["1h", "5m"] })).toEqual(["A 5m aggregated"]);
    await database.sql("update store.policies set enabled = true where dataset = 'bars_1h'");
  });

  it("are listed by series() only when named", async () => {
    expect(await store.bars.series({ symbol: "A", timeframe: "5m" })).toEqual([
      { vendor: "test", symbol: "A", timeframe: "5m", source: "aggregated" },
    ]);
    expect((await store.bars.series({ symbol: "B" })).map(({ timeframe, source }) => [timeframe, source])).toEqual([
      ["1m", "stored"],
    ]);
    expect(await store.bars.series({ symbol: "a", timeframe: "5m" }, { ignoreCase: true })).toEqual([]);
  });

  it("are the tenant's own", async () => {
    const [tenant] = await database.sql<{ id: string }>("select mds.create_tenant('other', 'Other') as id");
    const other = await openStore({ url: database.url, tenant: tenant!.id });
    expect(await collect(other.bars.read({ symbol: "A", timeframe: "5m" }))).toEqual([]);
    await other.close();
  });
});

describe("what is stored alone", () => {
  it("is what a question without a timeframe gives", async () => {
    expect(await sourcesOf({ symbol: "A" })).toEqual(["A 15m stored", "A 1m stored"]);
  });

  it("is what a dump holds, whatever it names", async () => {
    const folder = await mkdtemp(join(tmpdir(), "mds-aggregates-"));
    const path = join(folder, "bars.ndjson");
    await using snapshot = await store.snapshot();
    const query = { symbol: ["A", "BOTH"], timeframe: ["5m", "1d"] };
    await dumpFiles(snapshot, [{ dataset: bars, query, path }]);
    const lines = (await readFile(path, "utf8")).trim().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { symbol: string }).symbol)).toEqual(["BOTH"]);
    await rm(folder, { recursive: true });
  });
});

it("people find aggregates in views", async () => {
  await database.sql("select set_config('app.tenant_id', $1, false)", [store.tenantId]);
  const rows = await database.sql(
    "select symbol, timeframe, volume from mds.bars_5m where symbol = 'A' order by ts limit 1",
  );
  expect(rows).toEqual([{ symbol: "A", timeframe: "5m", volume: 5_010 }]);
  for (const name of ["bars_15m", "bars_1h", "bars_1d"]) {
    expect(await database.sql(`select from mds.${name} where symbol = 'A'`)).not.toHaveLength(0);
  }
});
