/** Aggregates beside retention, switched off and on, and worked out anew. */
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { rebuildAggregates } from "../../src/database/aggregates.ts";
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
import { manyBars } from "../support/bars.ts";
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

describe("retention", () => {
  const keep = (length: string | null) =>
    database.sql("update store.policies set keep_for = $1 where dataset = 'bars'", [length]);
  const RECENT = new Date(Date.now() - 86_400_000).toISOString();

  it("takes rows, and no refresh touches the aggregates of what it took, also when it is over", async () => {
    await store.bars.upsert([
      barAt("2024-03-05T10:00:00Z", { volume: 100 }),
      barAt("2024-03-05T10:01:00Z", { volume: 200 }),
      barAt(RECENT),
    ]);
    await refresh(database);
    await keep("6 months");
    await database.sql(dropPartitionSql(inject("engine"), "2024-03-05Z"));
    await store.bars.upsert([barAt("2024-03-05T10:02:00Z", { volume: 1 }), barAt(RECENT, { volume: 5 })]);
    await refresh(database);
    expect(await bucket(database, "5m", "2024-03-05T10:00:00Z")).toMatchObject({ volume: 300 });
    expect(await bucket(database, "1d", "2024-03-05T00:00:00Z")).toMatchObject({ volume: 300 });
    expect(await wrongBuckets(database, "5m", "coalesce(c.ts, a.ts) > '2025-01-01Z'")).toEqual([]);
    await database.sql(
      `insert into store.retired_partitions (dataset, partition_name, range_start, range_end) values ('bars', 'bars_data_2024_03', '2024-03-01Z', '2024-04-01Z')`,
    );
    await keep(null);
    const scope = adminScope(database);
    await rebuildAggregates(scope);
    await scope.close();
    expect(await bucket(database, "1d", "2024-03-05T00:00:00Z")).toMatchObject({ volume: 300 });
    await database.sql("delete from store.retired_partitions");
  });

  it("that speaks while aggregates are worked out makes the refresh try again", async () => {
    await store.bars.upsert([barAt("2024-03-05T10:00:00Z"), barAt(RECENT)]);
    await database.sql(`create function public.speak() returns trigger language plpgsql security definer as $$
      begin
        if nextval('public.spoken') = 1 then update store.policies set keep_for = '6 months' where dataset = 'bars'; end if;
        return null;
      end $$`);
    await database.sql("create sequence public.spoken");
    await database.sql("grant usage on sequence public.spoken to public");
    await database.sql(
      "create trigger speaks before insert on store.bars_1h_data for each statement execute function public.speak()",
    );
    await refresh(database);
    const [{ calls }] = (await database.sql<{ calls: string }>(
      "select last_value::text as calls from public.spoken",
    )) as [{ calls: string }];
    expect(Number(calls)).toBe(2);
    expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
    await database.sql("drop trigger speaks on store.bars_1h_data");
  });
});

describe("an aggregate that is switched off", () => {
  const enable = (name: string, enabled: boolean) =>
    database.sql("update store.policies set enabled = $2 where dataset = $1", [`bars_${name}`, enabled]);

  it("is left as it is while coarser ones go on, and is worked out whole when it is switched on", async () => {
    await store.bars.upsert(manyBars(600));
    await refresh(database);
    await enable("15m", false);
    await store.bars.upsert(manyBars(600, { volume: 7 }));
    const { aggregates } = await refresh(database);
    expect(Object.keys(aggregates)).toEqual(["5m", "1h", "1d"]);
    expect(await wrongBuckets(database, "15m")).not.toEqual([]);
    expect([
      await wrongBuckets(database, "5m"),
      await wrongBuckets(database, "1h"),
      await wrongBuckets(database, "1d"),
    ]).toEqual([[], [], []]);
    await enable("15m", true);
    expect(await refresh(database)).toMatchObject({
      aggregates: { "5m": { written: 0 }, "15m": { written: 40 }, "1h": { written: 0 } },
    });
    expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
  });

  it("cannot be rebuilt, and one that there is not neither", async () => {
    const scope = adminScope(database);
    await enable("1h", false);
    await expect(rebuildAggregates(scope, { aggregates: ["1h"] })).rejects.toMatchObject({
      code: "constraint_violated",
    });
    await enable("1h", true);
    await expect(rebuildAggregates(scope, { aggregates: ["2h"] })).rejects.toMatchObject({ code: "usage" });
    await expect(rebuildAggregates(scope, { dataset: "news" })).rejects.toMatchObject({ code: "usage" });
    await scope.close();
  });
});

describe("a rebuild", () => {
  it("mends a range, all of it or some aggregates, and nothing outside", async () => {
    const scope = adminScope(database);
    await store.bars.upsert([...manyBars(100), barAt("2024-05-01T00:00:00Z"), barAt("2024-07-01T00:00:00Z")]);
    await refresh(database);
    await database.sql("update store.bars_5m_data set volume = -1");
    await database.sql("update store.bars_1d_data set volume = -1");
    const range = { start: "2024-05-01T00:00:00Z", end: "2024-06-01T00:00:00Z" };
    await rebuildAggregates(scope, { ...range, aggregates: ["1d"] });
    expect(await database.sql("select ts from store.bars_5m_data where volume >= 0")).toEqual([]);
    expect(
      await database.sql("select (ts at time zone 'UTC')::date::text as ts from store.bars_1d_data where volume >= 0"),
    ).toEqual([{ ts: "2024-05-01" }]);
    await rebuildAggregates(scope);
    expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
    await scope.close();
  });
});
