import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import type { BarInput } from "../../src/datasets/bars.ts";
import { bar, collect, manyBars } from "../support/bars.ts";
import { createTestDatabase, dropPartitionSql, type TestDatabase } from "../support/test-database.ts";

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

beforeEach(async () => {
  await database.sql("truncate store.bars_data");
});

const stored = (symbol = "AAA") => collect(store.bars.read({ symbol }));

/** Where each row version lies, which transaction wrote it, and how large the table is: any write changes it. */
async function rowVersions(): Promise<{ versions: string[]; bytes: string }> {
  const rows = await database.sql<{ version: string }>(
    "select tableoid::regclass || ' ' || ctid || ' ' || xmin as version from store.bars_data order by series_id, ts",
  );
  const [size] = await database.sql<{ bytes: string }>(
    "select sum(pg_relation_size(inhrelid)) as bytes from pg_inherits where inhparent = 'store.bars_data'::regclass",
  );
  return { versions: rows.map(({ version }) => version), bytes: size!.bytes };
}

describe("counts", () => {
  it("R16 say inserted, updated, unchanged, superseded and rejected, and add up to the rows given", async () => {
    await store.bars.upsert(manyBars(3));
    const result = await store.bars.upsert([
      bar(0), // as stored
      bar(1, { volume: 5 }), // changed
      bar(3), // new
      bar(4, { volume: 1 }), // superseded by the next
      bar(4, { volume: 2 }),
      bar(5, { volume: -1 }), // impossible
    ]);
    expect(result).toMatchObject({ inserted: 2, updated: 1, unchanged: 1, superseded: 1, rejected: 1 });
    expect(result.rejections).toMatchObject([{ index: 5, code: "number_out_of_range", row: { volume: -1 } }]);
  });

  it("R17 are those of committed transactions: a failing call tells what it had written", async () => {
    const stop = new AbortController();
    const rows = function* (): Generator<BarInput> {
      yield* manyBars(250);
    };
    let batches = 0;
    const writing = store.bars.upsert(rows(), {
      batchRows: 100,
      signal: stop.signal,
      onBatch: () => {
        batches++;
        if (batches === 1) stop.abort();
      },
    });
    const error = await writing.then(
      () => undefined,
      (reason) => reason,
    );
    expect(error).toMatchObject({ code: "aborted" });
    expect((await stored()).length).toBe(error.details.written.inserted);
  });

  it("accept the rows of an asynchronous source one by one or in arrays, and an empty one", async () => {
    async function* source(): AsyncGenerator<BarInput | BarInput[]> {
      yield bar(0);
      yield manyBars(3);
      yield [];
    }
    expect(await store.bars.upsert(source())).toMatchObject({ inserted: 3, superseded: 1 });
    expect(await store.bars.upsert([])).toMatchObject({ inserted: 0, rejected: 0 });
  });
});

describe("R7 rows that are stored already", () => {
  it("are not written again: no row version moves and the table does not grow", async () => {
    await store.bars.upsert(manyBars(5_000));
    const before = await rowVersions();
    expect(await store.bars.upsert(manyBars(5_000))).toMatchObject({ inserted: 0, updated: 0, unchanged: 5_000 });
    expect(await rowVersions()).toEqual(before);
  });

  it("are written where they differ, and only there", async () => {
    await store.bars.upsert(manyBars(10));
    const before = await rowVersions();
    expect(await store.bars.upsert([...manyBars(9), bar(9, { volume: 7 })])).toMatchObject({
      updated: 1,
      unchanged: 9,
    });
    const after = await rowVersions();
    expect(after.versions.filter((version) => !before.versions.includes(version))).toHaveLength(1);
    expect((await stored()).at(-1)).toMatchObject({ volume: 7 });
  });
});

describe("R12 a key twice in one call", () => {
  it("ends with the last row, whatever the order of the others", async () => {
    const rows = [bar(2, { volume: 1 }), bar(1), bar(2, { volume: 2 }), bar(0), bar(2, { volume: 3 })];
    expect(await store.bars.upsert(rows)).toMatchObject({ inserted: 3, superseded: 2 });
    expect((await stored()).map((row) => row.volume)).toEqual([1_000, 1_001, 3]);
  });

  it("ends with the last row across batches too", async () => {
    const rows = Array.from({ length: 1_000 }, (_, at) => bar(0, { volume: at }));
    expect(await store.bars.upsert(rows, { batchRows: 10 })).toMatchObject({ inserted: 1, updated: 99 });
    expect((await stored()).map((row) => row.volume)).toEqual([999]);
  });
});

describe("R13 any number of rows", () => {
  it.each([0, 1, 999, 1_000, 1_001, 2_000, 10_000, 100_000])("%i, twice on one connection", async (count) => {
    const rows = manyBars(count);
    expect(await store.bars.upsert(rows)).toMatchObject({ inserted: count, rejected: 0 });
    expect(await store.bars.upsert(rows)).toMatchObject({ inserted: 0, unchanged: count });
  });
});

describe("R14 absent and null", () => {
  it("an absent field keeps what is stored, an explicit null clears it", async () => {
    await store.bars.upsert([bar(0, { vwap: 100.5, trade_count: 7 })]);
    const { vendor, symbol, timeframe, ts } = bar(0);
    const key = { vendor, symbol, timeframe, ts };
    expect(await store.bars.upsert([{ ...key, vwap: null }])).toMatchObject({ updated: 1 });
    expect(await stored()).toMatchObject([{ vwap: null, trade_count: 7n, open_price: 100 }]);
    expect(await store.bars.upsert([{ ...key, close_price: 100.75 }])).toMatchObject({ updated: 1 });
    expect(await stored()).toMatchObject([{ vwap: null, trade_count: 7n, close_price: 100.75 }]);
    expect(await store.bars.upsert([{ ...key, close_price: 100.75 }])).toMatchObject({ unchanged: 1 });
  });

  it("rows of one key are folded left to right under that rule", async () => {
    const { vendor, symbol, timeframe, ts } = bar(0);
    const key = { vendor, symbol, timeframe, ts };
    const rows = [bar(0, { vwap: 1, trade_count: 1 }), { ...key, vwap: null }, { ...key, trade_count: 2 }];
    expect(await store.bars.upsert(rows)).toMatchObject({ inserted: 1, superseded: 2 });
    expect(await stored()).toMatchObject([{ vwap: null, trade_count: 2n, volume: 1_000 }]);
  });

  it("a required field may be absent only where the key exists", async () => {
    await store.bars.upsert([bar(0)]);
    const { volume: _, ...without } = bar(1);
    const { volume: __, ...stays } = bar(0);
    const result = await store.bars.upsert([without, { ...stays, close_price: 100.25 }]);
    expect(result).toMatchObject({ updated: 1, rejected: 1 });
    expect(result.rejections).toMatchObject([{ index: 0, code: "field_missing" }]);
    expect((await store.bars.upsert([bar(0, { volume: null as never })])).rejections[0]).toMatchObject({
      code: "field_missing",
      message: "volume is null, but it is required.",
    });
  });

  it("a partial row that would make the stored bar impossible is rejected, and costs nothing that was good", async () => {
    await store.bars.upsert([bar(0), bar(1)]);
    const { vendor, symbol, timeframe } = bar(0);
    const partial = (at: number, high_price: number) => ({ vendor, symbol, timeframe, ts: bar(at).ts, high_price });
    const result = await store.bars.upsert([partial(0, 1), partial(1, 200), partial(1, 0.5)]);
    expect(result).toMatchObject({ updated: 1, rejected: 2 });
    expect(new Set(result.rejections.map(({ code }) => code))).toEqual(new Set(["bar_impossible"]));
    expect((await stored()).map((row) => row.high_price)).toEqual([101, 200]);
  });

  it("nulls in any column and any share of the rows come back as they were", async () => {
    const rows = manyBars(3_000).map((row, at) => ({
      ...row,
      vwap: at % 3 === 0 ? null : at,
      ...(at % 2 === 0 && { trade_count: at % 5 === 0 ? null : at }),
    }));
    await store.bars.upsert(rows);
    const back = await stored();
    expect(back.map((row) => row.vwap)).toEqual(rows.map((row) => row.vwap));
    expect(back.map((row) => row.trade_count)).toEqual(
      rows.map((row) => (row.trade_count == null ? null : BigInt(row.trade_count as number))),
    );
  });
});

describe("a row that cannot be stored", () => {
  const cases: [string, Partial<Record<keyof BarInput | "colour", unknown>>, string][] = [
    ["text for a number", { open_price: "abc" }, "number_invalid"],
    ["NaN", { close_price: Number.NaN }, "number_invalid"],
    ["infinity", { volume: Number.POSITIVE_INFINITY }, "number_invalid"],
    ["a decimal that float8 cannot keep", { open_price: "100.00000000000000001" }, "number_not_exact"],
    ["high below low", { high_price: 1 }, "bar_impossible"],
    ["high below close", { close_price: 200 }, "bar_impossible"],
    ["negative volume", { volume: -0.5 }, "number_out_of_range"],
    ["a fraction of a trade", { trade_count: 1.5 }, "number_not_exact"],
    ["R10 a naive time", { ts: "2024-01-02T14:30:00" }, "time_zone_missing"],
    ["R10 a naive date", { ts: "2024-01-02" }, "time_zone_missing"],
    ["a bare number for a time", { ts: 1_704_205_800 }, "time_invalid"],
    ["year 0", { ts: "0000-01-01T00:00:00Z" }, "time_invalid"],
    ["year 1899", { ts: "1899-12-31T23:59:59Z" }, "time_out_of_range"],
    ["year 9999", { ts: "9999-01-01T00:00:00Z" }, "time_out_of_range"],
    ["nanoseconds", { ts: "2024-01-02T14:30:00.000000001Z" }, "time_too_precise"],
    ["an empty symbol", { symbol: " " }, "text_empty"],
    ["a NUL byte", { symbol: "A\u0000B" }, "nul_in_text"],
    ["a long symbol", { symbol: "A".repeat(65) }, "text_too_long"],
    ["an ambiguous timeframe", { timeframe: "60" }, "timeframe_invalid"],
    ["a field that bars do not have", { colour: "red" }, "field_unknown"],
    ["no symbol", { symbol: undefined }, "field_missing"],
    ["no time", { ts: null }, "time_invalid"],
  ];

  it.each(cases)("%s is rejected alone, with its reason", async (_, fields, code) => {
    const result = await store.bars.upsert([bar(0), { ...bar(1), ...fields } as BarInput, bar(2)]);
    expect(result).toMatchObject({ inserted: 2, rejected: 1 });
    expect(result.rejections[0]).toMatchObject({ index: 1, code });
    expect((await stored()).length).toBe(2);
  });

  it("is no object at all, and the others are stored", async () => {
    const rows = [bar(0), null, 7, "x", [bar(1)], bar(2)] as BarInput[];
    expect(await store.bars.upsert(rows)).toMatchObject({ inserted: 2, rejected: 4 });
  });

  it("is told to onRejected also past the hundred that the result lists", async () => {
    let told = 0;
    const rows = Array.from({ length: 250 }, (_, at) => bar(at, { volume: -1 }));
    const result = await store.bars.upsert(rows, { onRejected: () => told++ });
    expect([result.rejected, result.rejections.length, told]).toEqual([250, 100, 250]);
  });
});

describe("partitions", () => {
  it("are made on demand for whatever months a batch reaches, also more than one call may make", async () => {
    const rows = Array.from({ length: 300 }, (_, at) => bar(0, { ts: new Date(Date.UTC(1990, at, 15)) }));
    expect(await store.bars.upsert(rows)).toMatchObject({ inserted: 300 });
    expect((await stored()).length).toBe(300);
  });

  it("may go away under an open store, which then makes them again", async () => {
    const january = bar(0, { ts: "1985-01-15T00:00:00Z" });
    await store.bars.upsert([january]);
    await database.sql(dropPartitionSql(inject("engine"), "1985-01-15Z"));
    expect(await store.bars.upsert([january])).toMatchObject({ inserted: 1 });
  });
});

describe("many writers", () => {
  it("of the same new keys in opposite order neither deadlock nor fail, and each key is there once", async () => {
    const rows = manyBars(4_000);
    const results = await Promise.all([
      store.bars.upsert(rows, { batchRows: 500 }),
      store.bars.upsert(rows.toReversed(), { batchRows: 500 }),
      store.bars.upsert(rows, { batchRows: 700 }),
      store.bars.upsert(rows.toReversed(), { batchRows: 300 }),
    ]);
    expect(results.every((result) => result.rejected === 0)).toBe(true);
    expect((await stored()).length).toBe(4_000);
  });

  it("make one series between them", async () => {
    const stores = await Promise.all(Array.from({ length: 6 }, () => openStore({ url: database.url })));
    await Promise.all(stores.map((one) => one.bars.upsert(manyBars(10, { symbol: "RACE" }))));
    await Promise.all(stores.map((one) => one.close()));
    expect(await store.bars.series({ symbol: "RACE" })).toHaveLength(1);
    expect((await stored("RACE")).length).toBe(10);
  });

  it("burn no series ids on series that exist", async () => {
    await store.bars.upsert([bar(0, { symbol: "IDS" })]);
    const again = await openStore({ url: database.url });
    for (let i = 0; i < 5; i++) await again.bars.upsert([bar(i, { symbol: "IDS" })]);
    await again.bars.upsert([bar(0, { symbol: "IDS2" })]);
    await again.close();
    const ids = await database.sql<{ series_id: number }>(
      "select series_id from store.bars_series where symbol in ('IDS', 'IDS2') order by 1",
    );
    expect(ids[1]!.series_id - ids[0]!.series_id).toBe(1);
  });
});
