/**
 * What the server reads for an upsert: little, also for a batch whose rows lie far apart in a long history, and for one
 * into a partition that was empty a moment ago. The outcome is that of any other batch.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import type { BarInput } from "../../src/datasets/bars.ts";
import { bar, collect, manyBars } from "../support/bars.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const DAY_US = 86_400_000_000n;
const DAYS = 1_500;
/** The same values at any time. */
const FLAT = { open_price: 1, high_price: 1, low_price: 1, close_price: 1, volume: 1 } as const;

let database: TestDatabase;
let store: Store;

beforeEach(async () => {
  database = await createTestDatabase();
  store = await openStore({ url: database.url });
});

afterEach(async () => {
  await store.close();
  await database.drop();
});

const timeOf = (day: number): bigint => BigInt(Date.UTC(2018, 0, 1)) * 1_000n + BigInt(day) * DAY_US;

function daily(day: number, fields: Partial<BarInput> = {}): BarInput {
  return bar(day, { timeframe: "1d", ts: timeOf(day), ...fields });
}

/** Without what a bar always has: only its key and these fields. */
function partial(day: number, fields: Partial<BarInput>): BarInput {
  const { vendor, symbol, timeframe, ts } = daily(day);
  return { vendor, symbol, timeframe, ts, ...fields };
}

/** Rows that the server has fetched from the bars so far, by index or by scan. */
async function rowsFetched(): Promise<number> {
  await store.close();
  for (;;) {
    const [left] = await database.sql<{ n: number }>(
      "select count(*)::int4 as n from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'",
    );
    if (left!.n === 0) break;
  }
  await database.sql("select pg_stat_clear_snapshot()");
  const [sum] = await database.sql<{ n: number | null }>(
    `select sum(coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0))::int4 as n
     from pg_stat_user_tables where relname ~ '^(bars_data_|_hyper_)'`,
  );
  store = await openStore({ url: database.url });
  return sum!.n ?? 0;
}

describe("rows scattered over a long history", () => {
  beforeEach(async () => {
    for (const symbol of ["AAA", "BBB"]) {
      await store.bars.upsert(Array.from({ length: DAYS }, (_, day) => daily(day, { symbol })));
    }
  });

  it("are inserted, updated, unchanged and rejected one by one", async () => {
    const rows = [
      daily(0), // as stored
      daily(400, { volume: 7 }), // changed
      partial(700, { vwap: 9 }), // adds to what is stored
      partial(701, { vwap: null }), // says what is stored already
      partial(900, { low_price: 500 }), // impossible with what is stored
      daily(DAYS + 100), // new
      partial(DAYS + 200, { vwap: 9 }), // nothing stored to add to
      daily(3, { symbol: "BBB", volume: 8 }), // changed
      daily(DAYS - 1, { symbol: "BBB" }), // as stored
    ];
    const result = await store.bars.upsert(rows);
    expect(result).toMatchObject({ inserted: 1, updated: 3, unchanged: 3, superseded: 0, rejected: 2 });
    expect(new Map(result.rejections.map(({ index, code }) => [index, code]))).toEqual(
      new Map([
        [4, "bar_impossible"],
        [6, "field_missing"],
      ]),
    );
    const stored = new Map((await collect(store.bars.read({}))).map((one) => [`${one.symbol} ${one.ts}`, one]));
    expect(stored.size).toBe(2 * DAYS + 1);
    expect(stored.get(`AAA ${timeOf(400)}`)).toMatchObject({ volume: 7, vwap: null });
    expect(stored.get(`AAA ${timeOf(700)}`)).toMatchObject({ volume: 1_700, vwap: 9 });
    expect(stored.get(`BBB ${timeOf(3)}`)).toMatchObject({ volume: 8 });
    expect(await store.bars.upsert(rows)).toMatchObject({ inserted: 0, updated: 0, unchanged: 7, rejected: 2 });
  });

  it("do not make the server read the history between them", async () => {
    const before = await rowsFetched();
    const rows = Array.from({ length: 20 }, (_, at) => daily(at * 70, { symbol: at % 2 === 0 ? "AAA" : "BBB" }));
    expect(await store.bars.upsert(rows)).toMatchObject({ unchanged: 20 });
    // Once to see that there are too many rows between, once by key.
    expect((await rowsFetched()) - before).toBeLessThan(10 * rows.length);
  });

  it("are found among several of the same time where content is a part of the key", async () => {
    const item = (hour: number, title: string, sentiment_score: number | null = null) => ({
      ...{ vendor: "test", title, url: "https://example.com/", sentiment_score },
      published_at: BigInt(Date.UTC(2020, 0, 1, hour)) * 1_000n,
    });
    const history = Array.from({ length: 500 }, (_, hour) => ["a", "b", "c"].map((title) => item(hour, title))).flat();
    expect(await store.news.upsert(history)).toMatchObject({ inserted: 1_500 });
    const result = await store.news.upsert([item(0, "b"), item(250, "c", 0.5), item(250, "d"), item(499, "a", -1)]);
    expect(result).toMatchObject({ inserted: 1, updated: 2, unchanged: 1, rejected: 0 });
  });
});

describe("rows into a partition that was empty when its statistics were taken", () => {
  it("do not make the server scan it as it grows", async () => {
    const before = await rowsFetched();
    await store.bars.upsert(manyBars(1_000), { batchRows: 100 }); // enough calls for plans to be kept
    await database.sql("truncate store.bars_data");
    await database.sql("vacuum analyze store.bars_data");
    // Each batch begins with the last row of the one before, so that there is something to compare with.
    const rows = Array.from({ length: 3_000 }, (_, at) => bar(at - Math.floor(at / 100), FLAT));
    expect(await store.bars.upsert(rows, { batchRows: 100 })).toMatchObject({ inserted: 2_971, unchanged: 29 });
    expect((await rowsFetched()) - before).toBeLessThan(rows.length);
  });
});
