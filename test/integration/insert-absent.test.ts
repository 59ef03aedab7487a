import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writePastRows } from "../../src/client/insert-absent.ts";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { decodeSpooledRow, encodeSpooledRow } from "../../src/coordinator/spool/row-codec.ts";
import { DATASET_NAMES } from "../../src/datasets/registry.ts";
import { refresh } from "../support/aggregates.ts";
import { bar, collect, manyBars } from "../support/bars.ts";
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

const stored = (symbol: string) => collect(store.bars.read({ symbol }));

describe.each(DATASET_NAMES)("%s", (name) => {
  it("are stored as the upsert stores them, and again change nothing", async () => {
    const rows = fc
      .sample(ROWS[name], { numRuns: 60, seed: 7 })
      .map((row) => ({ vendor: "past", ...row }))
      // Where the same key comes twice the two would tell different stories of the loser.
      .filter((row, at, all) => all.findIndex((one) => keyOf(one) === keyOf(row)) === at);
    const upserted = await other.dataset(name).upsert(rows);
    const inserted = await store.dataset(name).insertAbsent(rows);
    expect(inserted).toMatchObject({ inserted: upserted.inserted, rejected: upserted.rejected, updated: 0 });
    expect(upserted.inserted).toBeGreaterThan(10);
    const all = { vendor: "past" };
    expect(await collect(store.dataset(name).read(all))).toEqual(await collect(other.dataset(name).read(all)));
    expect(await store.dataset(name).insertAbsent(rows)).toMatchObject({ inserted: 0, unchanged: upserted.inserted });
  });

  it("are the same after a way through the spool", () => {
    fc.assert(
      fc.property(ROWS[name], (row) => {
        const record = { tenantId: store.tenantId, dataset: name, row: { ...row } };
        expect(decodeSpooledRow(encodeSpooledRow(record))).toStrictEqual(record);
      }),
    );
  });
});

function keyOf(row: Record<string, unknown>): string {
  const { symbol, timeframe, ts, asof, published_at, expiry, option_type, strike, name, title, url } = row;
  return [symbol, timeframe, ts, asof, published_at, expiry, option_type, strike, name, title, url]
    .map(String)
    .join("|");
}

describe("insertAbsent", () => {
  it("refuses a row whose key holds something else, and stores its neighbours", async () => {
    await store.bars.upsert([bar(1, { symbol: "HELD" })]);
    const rows = [bar(0, { symbol: "HELD" }), bar(1, { symbol: "HELD", volume: 7 }), bar(2, { symbol: "HELD" })];
    const result = await store.bars.insertAbsent(rows);
    expect(result).toMatchObject({ inserted: 2, updated: 0, unchanged: 0, rejected: 1 });
    expect(result.rejections).toMatchObject([{ index: 1, code: "key_present" }]);
    expect((await stored("HELD")).map(({ volume }) => volume)).toEqual([1_000, 1_001, 1_002]);
  });

  it("refuses a row without a required field where nothing is stored, and finds it stored where it is", async () => {
    const { volume: _, ...partial } = bar(1, { symbol: "PART" });
    expect((await store.bars.insertAbsent([partial])).rejections).toMatchObject([{ code: "field_missing" }]);
    await store.bars.upsert([bar(1, { symbol: "PART" })]);
    expect(await store.bars.insertAbsent([partial])).toMatchObject({ unchanged: 1, rejected: 0 });
    const changed = { ...partial, vwap: 100.5 };
    expect((await store.bars.insertAbsent([changed])).rejections).toMatchObject([{ code: "key_present" }]);
  });

  it("marks what it inserted, so that aggregates take it in", async () => {
    await refresh(database);
    expect(await store.bars.insertAbsent(manyBars(30, { symbol: "MARKS" }))).toMatchObject({ inserted: 30 });
    await refresh(database);
    const fives = await collect(store.bars.read({ symbol: "MARKS", timeframe: "5m" }));
    expect(fives.reduce((sum, { volume }) => sum + volume, 0)).toBe(30 * 1_000 + (29 * 30) / 2);
  });

  it("never overwrites what another session stores in the same moment", async () => {
    for (let round = 0; round < 25; round++) {
      const symbol = `RACE${round}`;
      const [past, current] = [manyBars(40, { symbol, volume: 1 }), manyBars(40, { symbol, volume: 2 })];
      const [inserted] = await Promise.all([store.bars.insertAbsent(past), store.bars.upsert(current)]);
      expect(new Set((await stored(symbol)).map(({ volume }) => volume))).toEqual(new Set([2]));
      expect(inserted.inserted + inserted.rejected).toBe(40);
    }
  });
});

describe("writePastRows", () => {
  it("tells for each row whether it is stored, also where a key comes twice", async () => {
    await store.bars.upsert([bar(1, { symbol: "TWICE", volume: 9 })]);
    const rows = [
      bar(0, { symbol: "TWICE", volume: 1 }),
      bar(0, { symbol: "TWICE", volume: 2 }),
      bar(1, { symbol: "TWICE", volume: 3 }),
      bar(1, { symbol: "TWICE", volume: 9 }),
      bar(1, { symbol: "TWICE", volume: 4 }),
      { nonsense: true },
    ];
    const refusals = await writePastRows(store, "bars", rows, { overwrite: false });
    expect(refusals.map((one) => one?.code)).toEqual([
      "key_present",
      undefined,
      "key_present",
      undefined,
      "key_present",
      "field_unknown",
    ]);
    expect((await stored("TWICE")).map(({ volume }) => volume)).toEqual([2, 9]);
    const forced = await writePastRows(store, "bars", rows.slice(2, 5), { overwrite: true });
    expect(forced).toEqual([undefined, undefined, undefined]);
    expect((await stored("TWICE")).map(({ volume }) => volume)).toEqual([2, 4]);
  });
});
