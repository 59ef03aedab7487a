/** Aggregates of one-minute bars: their values, what is marked, and what a refresh does and leaves alone. */
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { refreshAggregates } from "../../src/database/aggregates.ts";
import {
  adminScope,
  allWrongBuckets,
  barAt,
  bucket,
  emptyBars,
  NONE_WRONG,
  refresh,
  wrongBuckets,
} from "../support/aggregates.ts";
import { bar, manyBars } from "../support/bars.ts";
import { createTestDatabase, dropPartitionSql, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let store: Store;

beforeAll(async () => {
  database = await createTestDatabase();
  store = await openStore({ url: database.url });
});

beforeEach(() => emptyBars(database));

afterAll(async () => {
  await store.close();
  await database.drop();
});

const marks = () =>
  database.sql<{ series: number; min: string; max: string }>(
    `select cardinality(series_ids) as series, min_ts::text as min, max_ts::text as max from store.bars_dirty order by min_ts, max_ts`,
  );
const count = async (table: string): Promise<number> =>
  (await database.sql<{ n: number }>(`select count(*)::int4 as n from store.${table}`))[0]!.n;

describe("the values of a bucket", () => {
  it("are the first open, the last close, the extremes, the sums and the weighted mean", async () => {
    await store.bars.upsert([
      barAt("2024-03-05T10:02:00Z", { open_price: 30, volume: 300, trade_count: 3, vwap: 31 }),
      barAt("2024-03-05T10:00:00Z", { open_price: 10, volume: 100, trade_count: 1, vwap: 11 }),
      barAt("2024-03-05T10:05:00Z", { open_price: 20, volume: 200, trade_count: 2, vwap: 21 }),
    ]);
    await refresh(database);
    expect(await bucket(database, "5m", "2024-03-05T10:00:00Z")).toEqual({
      open_price: 10,
      high_price: 35,
      low_price: 5,
      close_price: 31,
      volume: 400,
      trade_count: 4,
      vwap: 26,
    });
    const whole = {
      open_price: 10,
      high_price: 35,
      low_price: 5,
      close_price: 21,
      volume: 600,
      trade_count: 6,
      vwap: (31 * 300 + 11 * 100 + 21 * 200) / 600,
    };
    for (const [timeframe, ts] of [
      ["15m", "2024-03-05T10:00:00Z"],
      ["1h", "2024-03-05T10:00:00Z"],
      ["1d", "2024-03-05T00:00:00Z"],
    ] as const) {
      expect(await bucket(database, timeframe, ts)).toEqual(whole);
    }
  });

  it("guess no count and no mean where a bar has none, and need none of a bar without volume", async () => {
    await store.bars.upsert([
      barAt("2024-03-05T10:00:00Z", { volume: 100, trade_count: 1, vwap: 11 }),
      barAt("2024-03-05T10:01:00Z", { volume: 0, trade_count: 0 }),
      barAt("2024-03-05T11:00:00Z", { volume: 100, trade_count: 1 }),
      barAt("2024-03-05T11:10:00Z", { volume: 100, vwap: 11 }),
      barAt("2024-03-05T12:00:00Z", { volume: 0, trade_count: 0, vwap: 11 }),
    ]);
    await refresh(database);
    expect(await bucket(database, "1h", "2024-03-05T10:00:00Z")).toMatchObject({ trade_count: 1, vwap: 11 });
    expect(await bucket(database, "5m", "2024-03-05T11:10:00Z")).toMatchObject({ trade_count: null, vwap: 11 });
    expect(await bucket(database, "1h", "2024-03-05T11:00:00Z")).toMatchObject({ trade_count: null, vwap: null });
    expect(await bucket(database, "1h", "2024-03-05T12:00:00Z")).toMatchObject({
      trade_count: 0,
      vwap: null,
      volume: 0,
    });
    expect(await bucket(database, "1d", "2024-03-05T00:00:00Z")).toMatchObject({
      trade_count: null,
      vwap: null,
      volume: 300,
    });
  });

  it("begin at midnight and at months in UTC, and bars just before and after fall into theirs", async () => {
    const times = [
      "2024-02-29T23:59:59.999999Z",
      "2024-03-01T00:00:00Z",
      "2024-03-31T23:59:00Z",
      "2024-04-01T00:00:00Z",
    ];
    await store.bars.upsert(times.map((ts) => barAt(ts)));
    await refresh(database);
    const days = await database.sql<{ ts: string }>(
      "select (ts at time zone 'UTC')::text as ts from store.bars_1d_data order by 1",
    );
    expect(days.map(({ ts }) => ts.slice(0, 10))).toEqual(["2024-02-29", "2024-03-01", "2024-03-31", "2024-04-01"]);
    expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
  });

  it("of absurd numbers are absurd or none, and hold up nobody else's", async () => {
    const largest = 1.7976931348623157e308;
    await store.bars.upsert([
      barAt("2024-03-05T10:00:00Z", { volume: largest, trade_count: 9_223_372_036_854_775_807n, vwap: largest }),
      barAt("2024-03-05T10:01:00Z", { volume: largest, trade_count: 9_223_372_036_854_775_807n, vwap: -largest }),
      barAt("2024-03-05T10:20:00Z", { volume: 5e-324, trade_count: 1, vwap: 5e-324 }),
      barAt("2024-03-05T10:40:00Z", { volume: 1, trade_count: 1, vwap: 0 }),
    ]);
    await refresh(database);
    expect(await bucket(database, "5m", "2024-03-05T10:00:00Z")).toMatchObject({
      volume: 2e290,
      trade_count: null,
      vwap: null,
    });
    expect(await bucket(database, "5m", "2024-03-05T10:20:00Z")).toMatchObject({
      volume: 5e-324,
      trade_count: 1,
      vwap: null,
    });
    expect(await bucket(database, "5m", "2024-03-05T10:40:00Z")).toMatchObject({ trade_count: 1, vwap: 0 });
  });
});

describe("marks", () => {
  it("are one for a batch whose series have rows all over its time", async () => {
    await store.bars.upsert(manyBars(5_000));
    expect(await marks()).toHaveLength(1);
    const rows = Array.from({ length: 50 }, (_, series) => manyBars(100, { symbol: `S${series}` })).flat();
    await store.bars.upsert(rows);
    expect((await marks()).map(({ series }) => series)).toEqual([50, 1]);
  });

  it("are none for other timeframes, nor for what is stored already", async () => {
    await store.bars.upsert([
      ...manyBars(100, { timeframe: "5m" }),
      ...manyBars(100, { timeframe: "1d", symbol: "D" }),
    ]);
    expect(await marks()).toEqual([]);
    await store.bars.upsert(manyBars(100));
    await refresh(database);
    await store.bars.upsert(manyBars(100));
    await store.bars.upsert(manyBars(100, { timeframe: "5m", volume: 5 }));
    expect(await marks()).toEqual([]);
  });

  it("lie close to what was written where a batch is scattered or mostly known", async () => {
    await store.bars.upsert(manyBars(2_000));
    await refresh(database);
    await store.bars.upsert(manyBars(2_000).map((row, minute) => (minute === 700 ? { ...row, volume: 1 } : row)));
    const ts = "2024-01-03 02:10:00+00";
    expect(await marks()).toEqual([{ series: 1, min: ts, max: ts }]);
    await database.sql("truncate store.bars_dirty");
    await store.bars.upsert(
      ["2020-01-01T00:00:00Z", "2020-01-01T00:59:00Z", "2022-06-01T00:00:00Z"].map((time) => barAt(time)),
    );
    expect(await marks()).toEqual([
      { series: 1, min: "2020-01-01 00:00:00+00", max: "2020-01-01 00:59:00+00" },
      { series: 1, min: "2022-06-01 00:00:00+00", max: "2022-06-01 00:00:00+00" },
    ]);
  });

  it("are made of what an owner changes, moves or deletes by hand", async () => {
    await store.bars.upsert([...manyBars(500), barAt("2024-03-02T00:00:00Z", { symbol: "OTHER" })]);
    await store.bars.upsert(manyBars(500, { timeframe: "5m" }));
    await refresh(database);
    await database.sql("update store.bars_data set volume = 5 where ts = '2024-01-02T15:00:00Z'");
    // A hypertable lets no row go over into another chunk.
    const shift = inject("engine") === "plain" ? "2 months" : "12 hours";
    await database.sql(`update store.bars_data set ts = ts + interval '${shift}' where ts = '2024-01-02T15:01:00Z'`);
    await database.sql(
      "delete from store.bars_data where ts between '2024-01-02T17:00:00Z' and '2024-01-02T18:02:00Z'",
    );
    await refresh(database);
    expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
    expect(await marks()).toEqual([]);
  });

  it("are not made of a truncation or a dropped partition: aggregates outlive their rows", async () => {
    await store.bars.upsert([...manyBars(100), barAt("2024-05-01T00:00:00Z")]);
    await refresh(database);
    await database.sql(dropPartitionSql(inject("engine"), "2024-05-01Z"));
    await database.sql("truncate store.bars_data");
    await refresh(database);
    expect(await count("bars_1d_data")).toBe(2);
  });

  it("too large for a step are cut up, and many small ones are taken at once", async () => {
    await store.bars.upsert(manyBars(20_000));
    const small = () =>
      database.sql<{ has_more: boolean }>("select has_more from mds.refresh_aggregates('bars', null, 1000)");
    let calls = 1;
    while ((await small())[0]!.has_more) calls++;
    expect(calls).toBeGreaterThan(20);
    expect(calls).toBeLessThan(60);
    expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
  });

  it("over more months than a step makes partitions for are worked out in several", async () => {
    const months = Array.from({ length: 70 }, (_, month) => new Date(Date.UTC(1950, month, 10)).toISOString());
    await store.bars.upsert(months.map((ts) => barAt(ts)));
    await refresh(database);
    expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
    expect(await count("bars_5m_data")).toBe(70);
  });
});

describe("a refresh", () => {
  it("writes what differs and nothing else, and says how much", async () => {
    await store.bars.upsert(manyBars(600));
    expect(await refresh(database)).toEqual({
      marks: 1,
      aggregates: {
        "5m": { written: 120, removed: 0 },
        "15m": { written: 40, removed: 0 },
        "1h": { written: 11, removed: 0 },
        "1d": { written: 2, removed: 0 },
      },
    });
    await store.bars.upsert([bar(3, { volume: 5 })]);
    const one = { written: 1, removed: 0 };
    expect(await refresh(database)).toMatchObject({ aggregates: { "5m": one, "15m": one, "1h": one, "1d": one } });
    await database.sql("update store.bars_data set volume = volume");
    const none = { written: 0, removed: 0 };
    expect(await refresh(database)).toMatchObject({ aggregates: { "5m": none, "15m": none, "1h": none, "1d": none } });
    expect(await refresh(database)).toMatchObject({ marks: 0 });
  });

  it("reads the buckets that are touched and not the tables, whatever the statistics say", async () => {
    const symbols = Array.from({ length: 20 }, (_, at) => `S${at}`);
    // Statistics from when there was nothing make a scan of all that has come since look cheap.
    await database.sql("analyze");
    await store.bars.upsert(symbols.flatMap((symbol) => manyBars(1_500, { symbol })));
    await refresh(database);
    await store.bars.upsert([bar(2, { symbol: "S3", volume: 1 }), bar(1_400, { symbol: "S5", volume: 1 })]);
    await database.sql("delete from store.bars_data where ts = $1", ["2024-01-02T20:00:00Z"]);
    const rowsRead = async (): Promise<number> => {
      const [row] = await database.sql<{ rows: number }>(
        `select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::int4 as rows
         from pg_stat_xact_user_tables
         where (schemaname = 'store' and relname ~ '^bars_(\\d+._)?data_') or schemaname = '_timescaledb_internal'`,
      );
      return row!.rows;
    };
    await database.sql("begin");
    const before = await rowsRead();
    await database.sql("select mds.refresh_aggregates('bars', null, 1000)");
    const read = (await rowsRead()) - before;
    await database.sql("commit");
    // 22 buckets a level, of at most 24 rows, each looked at a few times.
    expect(read).toBeLessThan(2_000);
    expect(read).toBeGreaterThan(100);
    expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
  });

  it("that fails or is killed in its middle leaves the log and the aggregates as they were", async () => {
    await store.bars.upsert(manyBars(600));
    await database.sql(
      `create function public.fail() returns trigger language plpgsql as $$ begin raise exception 'no' using errcode = 'XX000'; end $$`,
    );
    await database.sql(
      "create trigger fails before insert on store.bars_1h_data for each statement execute function public.fail()",
    );
    await expect(refresh(database)).rejects.toMatchObject({ code: "database_error" });
    expect([await count("bars_dirty"), await count("bars_5m_data")]).toEqual([1, 0]);
    await database.sql(
      `create or replace function public.fail() returns trigger language plpgsql security definer as $$ begin perform pg_terminate_backend(pg_backend_pid()); return null; end $$`,
    );
    await expect(refresh(database)).rejects.toMatchObject({ code: "database_unavailable" });
    expect([await count("bars_dirty"), await count("bars_5m_data")]).toEqual([1, 0]);
    await database.sql("drop trigger fails on store.bars_1h_data");
    await refresh(database);
    expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
  });

  it("ends with the step under way when it is aborted, and another one goes on", async () => {
    const stop = new AbortController();
    const scope = adminScope(database);
    await store.bars.upsert(manyBars(600));
    stop.abort();
    await expect(refreshAggregates(scope, { signal: stop.signal })).rejects.toMatchObject({ code: "aborted" });
    await scope.close();
    await refresh(database);
    expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
  });

  it("leaves what is marked by a transaction that has not ended to the next one", async () => {
    await store.bars.upsert(manyBars(10));
    await database.sql("begin");
    try {
      await database.sql("update store.bars_data set volume = 7");
      await refresh(database);
    } finally {
      await database.sql("commit");
    }
    expect(await wrongBuckets(database, "5m")).not.toEqual([]);
    await refresh(database);
    expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
  });
});
