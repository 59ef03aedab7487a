/** Trusted bulk load: the same outcome as the upsert's, by COPY where rows are new. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { openTrustedLoad, type TrustedLoad } from "../../src/client/trusted-load.ts";
import { openConnection } from "../../src/database/pool.ts";
import type { BarInput } from "../../src/datasets/bars.ts";
import type { DatasetName } from "../../src/datasets/registry.ts";
import { allWrongBuckets, refresh } from "../support/aggregates.ts";
import { bar, collect, manyBars } from "../support/bars.ts";
import { ROWS } from "../support/hostile-rows.ts";
import { createTestDatabase, dropPartitionSql, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let store: Store;
let other: Store;
let trusted: TrustedLoad;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.sql("select mds.create_tenant('other', 'other')");
  store = await openStore({ url: database.url });
  other = await openStore({ url: database.url, tenant: "other" });
  trusted = await openTrustedLoad({ url: database.url, adminUrl: database.adminUrl });
});

afterAll(async () => {
  await Promise.all([store.close(), other.close(), trusted.close()]);
  await database.drop();
});

const load = (rows: readonly BarInput[], options = {}) => trusted.dataset("bars").upsert(rows, options);
const stored = (symbol: string, of = store) => collect(of.bars.read({ symbol }));

it("refuses a dataset with decimals in one sentence", () => {
  expect(() => trusted.dataset("fundamentals")).toThrow(
    "fundamentals cannot be loaded as trusted, since its decimals go through the upsert; load it without.",
  );
});

it("goes through the upsert where keys are stored, and by COPY again on new ground", async () => {
  const symbol = "CONFLICT";
  await store.bars.upsert(manyBars(20, { symbol }));
  const rows = [
    ...manyBars(10, { symbol }), // as stored
    ...manyBars(30, { symbol, volume: 5 }).slice(10), // ten changed, ten new
    ...manyBars(60, { symbol }).slice(30),
  ];
  const result = await load(rows, { batchRows: 10 });
  expect(result).toMatchObject({ inserted: 40, updated: 10, unchanged: 10, superseded: 0, rejected: 0 });
  expect(result.copied).toBeGreaterThan(0);
  expect(result.copied).toBeLessThan(40);
  const all = await stored(symbol);
  expect(all).toHaveLength(60);
  expect(all.slice(10, 30).every(({ volume }) => volume === 5)).toBe(true);
});

it("keeps what absent fields leave, and rejects what the upsert rejects", async () => {
  const symbol = "PARTIAL";
  await store.bars.upsert([bar(0, { symbol, vwap: 7 })]);
  const { open_price: _, ...partial } = bar(0, { symbol, volume: 9 });
  const { open_price: __, ...homeless } = bar(1, { symbol });
  const result = await load([partial, homeless, bar(2, { symbol, low_price: 1_000 }), bar(3, { symbol })]);
  expect(result).toMatchObject({ inserted: 1, updated: 1, rejected: 2 });
  expect(result.rejections.map(({ code }) => code).sort()).toEqual(["bar_impossible", "field_missing"]);
  expect(await stored(symbol)).toMatchObject([{ volume: 9, vwap: 7, open_price: 100 }, { vwap: null }]);
});

it.each([
  ["dense", manyBars(3_000, { symbol: "DENSE" })],
  ["scattered", manyBars(40, { symbol: "SCATTERED" }).map((row, at) => ({ ...row, ts: bar(at * 1_500).ts }))],
])("marks what aggregates have to work out: %s rows", async (_, rows) => {
  await load(rows);
  await refresh(database);
  expect(Object.values(await allWrongBuckets(database)).flat()).toEqual([]);
  const [counted] = await database.sql<{ buckets: number }>(
    `select count(*)::int4 as buckets from store.bars_5m_data d join store.bars_series s using (series_id)
     where s.symbol = $1`,
    [rows[0]!.symbol],
  );
  expect(counted!.buckets).toBeGreaterThan(30);
});

it("makes partitions, and makes one again that was dropped under it", async () => {
  const symbol = "OLD";
  const of = trusted.dataset("bars");
  const at = (day: number) => bar(0, { symbol, ts: new Date(Date.UTC(1999, 4, day)) });
  expect(await of.upsert([at(3)])).toMatchObject({ copied: 1 });
  await database.sql(dropPartitionSql(inject("engine"), "1999-05-03Z"));
  expect(await of.upsert([at(4)])).toMatchObject({ copied: 1 });
  expect(await stored(symbol)).toHaveLength(1);
  expect(await load([at(40_000)])).toMatchObject({ copied: 0, rejected: 1 });
});

it("looks series up again that were deleted under it, and keeps to its tenant", async () => {
  const symbol = "TENANT";
  const of = trusted.dataset("bars");
  await of.upsert([bar(0, { symbol })]);
  await database.sql(
    "delete from store.bars_data d using store.bars_series s where s.series_id = d.series_id and s.symbol = $1",
    [symbol],
  );
  await database.sql("delete from store.bars_series where symbol = $1", [symbol]);
  expect(await of.upsert([bar(1, { symbol })])).toMatchObject({ copied: 1 });
  expect(await stored(symbol)).toHaveLength(1);
  expect(await stored(symbol, other)).toEqual([]);
  // A series that changes hands is no longer the tenant's.
  await database.sql("update store.bars_series set tenant_id = $1 where symbol = $2", [other.tenantId, symbol]);
  expect(await of.upsert([bar(2, { symbol })])).toMatchObject({ copied: 1 });
  expect(await stored(symbol, other)).toHaveLength(1);
  expect(await stored(symbol)).toHaveLength(1);
});

it("writes nothing for a tenant that is being deleted", async () => {
  await database.sql("select mds.create_tenant('leaving', 'leaving')");
  const leaving = await openTrustedLoad({ url: database.url, adminUrl: database.adminUrl, tenant: "leaving" });
  const of = leaving.dataset("bars");
  await of.upsert([bar(0, { symbol: "LEAVING" })]);
  await database.sql("update store.tenants set state = 'deleting' where slug = 'leaving'");
  await expect(of.upsert([bar(1, { symbol: "LEAVING" })])).rejects.toMatchObject({ code: "tenant_refused" });
  await leaving.close();
  const [count] = await database.sql<{ rows: number }>(
    "select count(*)::int4 as rows from store.bars_data d join store.bars_series s using (series_id) where s.symbol = 'LEAVING'",
  );
  expect(count!.rows).toBe(1);
});

it("is a run in the ledger that says so", async () => {
  await load(manyBars(5, { symbol: "LEDGER" }));
  const [run] = await store.runs.recent({ limit: 1 });
  expect(run).toMatchObject({ job_name: "trusted-load", dataset: "bars", status: "succeeded", rows_written: 5n });
  expect((await store.runs.get(run!.run_id)).metadata).toMatchObject({ trusted: true, copied: 5 });
});

it("leaves whole batches behind when it is stopped, and the next try completes them", async () => {
  const symbol = "STOPPED";
  const stopping = new AbortController();
  const rows = manyBars(50, { symbol });
  const failed = load(rows, { batchRows: 10, signal: stopping.signal, onBatch: () => stopping.abort() });
  await expect(failed).rejects.toMatchObject({ code: "aborted" });
  const before = (await stored(symbol)).length;
  expect(before % 10).toBe(0);
  expect(before).toBeLessThan(50);
  expect((await store.runs.recent({ limit: 1 }))[0]).toMatchObject({ status: "cancelled" });
  expect(await load(rows)).toMatchObject({ inserted: 50 - before, unchanged: before });
});

describe("while a batch waits for a key that another session holds", () => {
  /** Loads batches of ten rows, the first of which waits; the answer once that session has ended its transaction. */
  async function loadBeside(
    held: BarInput,
    rows: readonly BarInput[],
    copying: readonly number[],
    end: "commit" | "rollback",
  ) {
    const of = trusted.dataset("bars");
    await of.upsert([bar(500, { symbol: held.symbol })]); // so that series and partition are known, and the first batch is the first to begin
    const session = await openConnection(database.adminUrl, "holder", 5_000);
    try {
      await session.query("begin");
      await session.query(
        `insert into store.bars_data (series_id, ts, open_price, high_price, low_price, close_price, volume)
         select series_id, to_timestamp($2::float8 / 1e6), 1, 1, 1, 1, 1 from store.bars_series where symbol = $1`,
        [held.symbol, String(held.ts)],
      );
      const loading = of.upsert(rows, { batchRows: 10 });
      for (const open of copying) {
        await expect.poll(() => transactionsOf("% trusted"), { timeout: 10_000 }).toBe(open);
      }
      await session.query(end);
      return await loading;
    } finally {
      await session.end();
    }
  }

  async function transactionsOf(application: string): Promise<number> {
    const [row] = await database.sql<{ open: number }>(
      `select count(*)::int4 as open from pg_stat_activity
       where datname = current_database() and application_name like $1 and backend_xid is not null`,
      [application],
    );
    return row!.open;
  }

  it("the next batch is copied, and goes in behind it", async () => {
    const rows = manyBars(40, { symbol: "AHEAD" });
    const result = await loadBeside(rows[5]!, rows, [2], "rollback");
    expect(result).toMatchObject({ inserted: 40, copied: 40 });
  });

  it("the next batch lets go of its keys when that takes long, and is copied again in its turn", async () => {
    const rows = manyBars(40, { symbol: "LONG" });
    const result = await loadBeside(rows[5]!, rows, [2, 1], "rollback");
    expect(result).toMatchObject({ inserted: 40, copied: 40 });
  });

  it("the next batch is undone where that key then is stored, and stored in its turn", async () => {
    const rows = manyBars(40, { symbol: "UNDONE" });
    const result = await loadBeside(rows[5]!, rows, [2], "commit");
    expect(result).toMatchObject({ inserted: 39, updated: 1 });
    expect(await stored("UNDONE")).toHaveLength(41);
  });

  it("the next batch waits where it has a key of this one", async () => {
    const rows = manyBars(20, { symbol: "SHARED" });
    const result = await loadBeside(
      rows[5]!,
      [...rows.slice(0, 10), bar(9, { symbol: "SHARED", volume: 77 })],
      [1],
      "rollback",
    );
    expect(result).toMatchObject({ inserted: 10, updated: 1 });
    expect((await stored("SHARED"))[9]).toMatchObject({ volume: 77 });
  });
});

it("refuses a login that is not the owner's, and another database, in one sentence each", async () => {
  await expect(openTrustedLoad({ url: database.url, adminUrl: database.url })).rejects.toMatchObject({
    code: "role_missing",
    message:
      "This login may not act as mds_owner, who owns the tables; set ADMIN_DATABASE_URL to the login that migrates.",
  });
  const elsewhere = await createTestDatabase();
  const { adminUrl } = elsewhere;
  await expect(openTrustedLoad({ url: database.url, adminUrl })).rejects.toMatchObject({ code: "usage" });
  await elsewhere.drop();
});

// Last, since some of these rows are such that aggregates cannot be compared.
describe.each(["bars", "options", "news", "signals"] as const satisfies DatasetName[])("%s", (name) => {
  it("are stored as the upsert stores them, with the same counts, and again change nothing", async () => {
    const rows = fc.sample(ROWS[name], { numRuns: 300, seed: 11 }).map((row) => ({ vendor: "trusted", ...row }));
    const upserted = await other.dataset(name).upsert(rows);
    const { copied, ...loaded } = await trusted.dataset(name).upsert(rows);
    expect(loaded).toEqual(upserted);
    expect(copied).toBeGreaterThan(0);
    const all = { vendor: "trusted" };
    expect(await collect(store.dataset(name).read(all))).toEqual(await collect(other.dataset(name).read(all)));
    const again = await trusted.dataset(name).upsert(rows);
    expect(again).toMatchObject({ copied: 0, inserted: 0, rejected: upserted.rejected });
    expect(await collect(store.dataset(name).read(all))).toEqual(await collect(other.dataset(name).read(all)));
  });
});
