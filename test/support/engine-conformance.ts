/**
 * What every engine must do, as one suite of tests that is run for each: partitions ahead and on demand, retention, and
 * policies. A database that `createTestDatabase` gives must have the engine.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import type { DroppedPartition, Engine, EngineName, RetentionPlan } from "../../src/database/engine/engine.ts";
import { openEngine } from "../../src/database/engine/open-engine.ts";
import { applyPolicies, type WantedPolicies } from "../../src/database/policies.ts";
import { openPool, type Pool } from "../../src/database/pool.ts";
import { bar, collect } from "./bars.ts";
import { createTestDatabase, type TestDatabase } from "./test-database.ts";

const DAY_MS = 86_400_000;
const daysAgo = (days: number): Date => new Date(Date.now() - days * DAY_MS);
const micros = (time: number): string => new Date(time).toISOString().replace("Z", "000Z");

/** The partition of bars that a time belongs to, milliseconds since the epoch: a month, or a chunk of seven days. */
function partitionOf(engine: EngineName, text: string): { readonly start: number; readonly end: number } {
  const time = new Date(text);
  const month = (ahead: number): number => Date.UTC(time.getUTCFullYear(), time.getUTCMonth() + ahead);
  if (engine === "plain") return { start: month(0), end: month(1) };
  const start = Math.floor(time.getTime() / (7 * DAY_MS)) * 7 * DAY_MS;
  return { start, end: start + 7 * DAY_MS };
}

/** For what only another engine has to do. */
const ignore = (_title: string, _test: () => Promise<void>): void => {};

/** By the calendar, where that day exists. */
function monthsLater(time: number, months: number): number {
  const date = new Date(time);
  return date.setUTCMonth(date.getUTCMonth() + months);
}

export function describeEngine(name: EngineName): void {
  let database: TestDatabase;
  let engine: Engine;
  let store: Store;
  let pool: Pool;

  beforeEach(async () => {
    database = await createTestDatabase();
    engine = await openEngine(database.adminUrl);
    store = await openStore({ url: database.url });
    pool = openPool({ url: database.url, applicationName: "test", maxConnections: 2, connectTimeoutMs: 5_000 });
  });

  afterEach(async () => {
    await store.close();
    await pool.end();
    await database.drop();
  });

  const keep = (wanted: WantedPolicies) => applyPolicies({ pool, timeoutMs: 10_000 }, wanted);
  const write = async (...times: (Date | string)[]): Promise<void> => {
    const result = await store.bars.upsert(times.map((ts) => bar(0, { ts })));
    expect(result).toMatchObject({ inserted: times.length, rejected: 0 });
  };
  const times = async (): Promise<string[]> => {
    const rows = await collect(store.bars.read({}));
    return rows.map(({ ts }) => new Date(Number(ts / 1_000n)).toISOString());
  };
  const covered = async (dataset: string): Promise<string[]> => {
    const rows = await database.sql<{ start: string }>(
      `select to_char(range_start at time zone 'UTC', 'YYYY-MM-DD') as start from store.partitions($1) order by 1`,
      [dataset],
    );
    return rows.map(({ start }) => start);
  };
  const addAggregate = async (enabled: boolean): Promise<void> => {
    await database.sql("set role mds_owner");
    await database.sql("create table store.bars_3m_data (like store.bars_data including all) partition by range (ts)");
    await database.sql("alter table store.bars_3m_data alter column ts set statistics 0");
    await database.sql(
      "insert into store.policies (dataset, source, timeframe, partition_width, enabled) values ('bars_3m', 'bars', '3m', 'year', $1)",
      [enabled],
    );
    if (name === "timescale") await database.sql("select store.make_hypertable('bars_3m', '30 days', null)");
    await database.sql("reset role");
  };

  describe(`the ${name} engine: itself`, () => {
    it("is the one that the database is recorded to have", () => {
      expect(engine.name).toBe(name);
      expect(engine.capabilities.partitions.able && engine.capabilities.retention.able).toBe(true);
    });
  });

  describe(`the ${name} engine: partitions`, () => {
    const [onPlain, onTimescale] = name === "plain" ? [it, ignore] : [ignore, it];

    onTimescale("has none to make: a hypertable makes its chunks itself", async () => {
      expect(await engine.makePartitions({ periodsAhead: 3 })).toEqual([]);
    });

    onPlain("makes the current and the next periods of every dataset once", async () => {
      const made = await engine.makePartitions({ periodsAhead: 3 });
      const monthly = made.filter(({ dataset }) => dataset === "bars");
      expect(monthly).toHaveLength(4);
      for (const [at, { range_start, range_end }] of monthly.entries()) {
        expect(Date.parse(range_start)).toBeLessThan(Date.parse(range_end));
        if (at > 0) expect(range_start).toBe(monthly[at - 1]!.range_end);
      }
      expect(Date.parse(monthly[0]!.range_start)).toBeLessThanOrEqual(Date.now());
      expect(Date.parse(monthly[0]!.range_end)).toBeGreaterThan(Date.now());
      expect(new Set(made.map(({ dataset }) => dataset)).size).toBe(9);
      expect(await engine.makePartitions({ periodsAhead: 3 })).toEqual([]);
    });

    onPlain("makes those of an aggregate, and none of one that is switched off", async () => {
      await addAggregate(true);
      expect(await engine.makePartitions({ periodsAhead: 1, datasets: ["bars_3m"] })).toHaveLength(2);
      await database.sql("update store.policies set enabled = false where dataset = 'bars_3m'");
      expect(await engine.makePartitions({ periodsAhead: 5, datasets: ["bars_3m"] })).toEqual([]);
    });

    it("makes them on demand, however many writers want them at once", async () => {
      const stores = await Promise.all(Array.from({ length: 6 }, () => openStore({ url: database.url })));
      const years = Array.from({ length: 20 }, (_, at) => `${2000 + at}-06-01T00:00:00Z`);
      const results = await Promise.all(
        stores.map((one, at) => one.bars.upsert(years.map((ts) => bar(0, { ts, symbol: `S${at}` })))),
      );
      await Promise.all(stores.map((one) => one.close()));
      expect(results.map(({ inserted }) => inserted)).toEqual(stores.map(() => 20));
      expect(await covered("bars")).toHaveLength(20);
    });

    it("refuses a dataset that there is not", async () => {
      const refusal = { code: "policy_refused", message: expect.stringMatching(/no dataset "bar"; there are bars, /) };
      await expect(engine.makePartitions({ periodsAhead: 1, datasets: ["bar"] })).rejects.toMatchObject(refusal);
      await expect(engine.planRetention({ datasets: ["bar"] })).rejects.toMatchObject(refusal);
      await expect(engine.compress({ datasets: ["bar"] })).rejects.toMatchObject(refusal);
    });
  });

  describe(`the ${name} engine: retention`, () => {
    const months = Array.from({ length: 12 }, (_, at) => `2024-${String(at + 1).padStart(2, "0")}`);

    it("drops nothing without a policy", async () => {
      await write("1990-01-01T00:00:00Z", "2024-01-01T00:00:00Z");
      expect((await engine.planRetention()).partitions).toEqual([]);
      await keep({ fundamentals: { keep_for: "1 year" } });
      expect((await engine.planRetention()).partitions).toEqual([]);
    });

    it('R6 "older than 90 days" drops nothing that is 89 days old', async () => {
      await keep({ bars: { keep_for: "90 days" } });
      const kept = [daysAgo(0), daysAgo(1), daysAgo(89)];
      await write(...kept, daysAgo(91 + 31), daysAgo(400));
      const dropped = await engine.applyRetention(await engine.planRetention());
      expect(dropped.map(({ rows }) => rows)).toEqual([1, 1]);
      expect(await times()).toEqual(kept.map((time) => time.toISOString()).sort());
    });

    it("R6 goes by whole partitions on every day of a year: none that is partly kept, all that are wholly behind", async () => {
      await keep({ bars: { keep_for: "90 days" } });
      await write(...months.map((month) => `${month}-15T12:00:00Z`));
      for (let day = 0; day < 366; day += 7) {
        const now = new Date(Date.UTC(2024, 3, 1 + day, day % 24));
        const { partitions } = await engine.planRetention({ now: now.toISOString(), countRows: false });
        const cutoff = now.getTime() - 90 * DAY_MS;
        const behind = months
          .map((month) => partitionOf(name, `${month}-15T12:00:00Z`))
          .filter(({ end }) => end <= cutoff);
        expect(partitions.map(({ range_start }) => range_start)).toEqual(behind.map(({ start }) => micros(start)));
      }
    });

    it("counts months by the calendar, and the very end of a partition as behind", async () => {
      await keep({ bars: { keep_for: "6 months" } });
      await write("2024-01-15T00:00:00Z", "2024-02-15T00:00:00Z");
      const planAt = async (now: number): Promise<number> =>
        (await engine.planRetention({ now: micros(now), countRows: false })).partitions.length;
      const [first, second] = ["2024-01-15", "2024-02-15"].map((day) => monthsLater(partitionOf(name, day).end, 6));
      expect(await planAt(first! - 1)).toBe(0);
      expect(await planAt(first!)).toBe(1);
      expect(await planAt(second! - DAY_MS)).toBe(1); // of months: six months before 31 August is 29 February
      expect(await planAt(second!)).toBe(2);
    });

    it("announces with exact counts and changes nothing, then drops exactly that", async () => {
      await keep({ bars: { keep_for: "1 year" } });
      const { start, end } = partitionOf(name, "2020-03-05T00:00:00Z");
      await write(micros(start + 1), micros(end - 1), micros(end), daysAgo(1));
      const plan = await engine.planRetention();
      const first = {
        dataset: "bars",
        range_start: micros(start),
        range_end: micros(end),
        rows: 2,
        first_time: micros(start + 1),
        last_time: micros(end - 1),
      };
      expect(plan.partitions).toMatchObject([first, { rows: 1 }]);
      expect(plan.more).toBe(0);
      expect(await times()).toHaveLength(4);

      await write(micros(start + 2), "2019-01-01T00:00:00Z");
      const told: DroppedPartition[] = [];
      const dropped = await engine.applyRetention(plan, { onDropped: async (one) => void told.push(one) });
      expect(dropped).toMatchObject([{ ...first, rows: 3 }, { rows: 1 }]);
      expect(told).toEqual(dropped);
      expect(await times()).toEqual(["2019-01-01T00:00:00.000Z", expect.any(String)]);
    });

    it("may be repeated: the same plan tells the same, a new one has nothing", async () => {
      await keep({ bars: { keep_for: "1 year" } });
      await write("2020-03-05T00:00:00Z", "2020-04-05T00:00:00Z");
      const plan = await engine.planRetention();
      const dropped = await engine.applyRetention(plan);
      const again = await engine.applyRetention(plan);
      expect(again).toEqual(dropped.map((one) => ({ ...one, detach_ms: null, drop_ms: null })));
      expect((await engine.planRetention()).partitions).toEqual([]);
    });

    it("keeps what the policy keeps again by the time that it comes to it", async () => {
      await keep({ bars: { keep_for: "1 year" } });
      await write("2020-03-05T00:00:00Z");
      const plan = await engine.planRetention();
      await keep({ bars: { keep_for: null } });
      expect(await engine.applyRetention(plan)).toEqual([]);
      expect(await times()).toHaveLength(1);
    });

    it("stops between partitions when it is told to, and goes on the next time", async () => {
      await keep({ bars: { keep_for: "1 year" } });
      await write("2020-03-05T00:00:00Z", "2020-04-05T00:00:00Z", "2020-05-05T00:00:00Z");
      const plan = await engine.planRetention();
      const stop = new AbortController();
      const stopped = engine.applyRetention(plan, { signal: stop.signal, onDropped: async () => stop.abort() });
      await expect(stopped).rejects.toMatchObject({ code: "aborted" });
      expect(await times()).toEqual(["2020-04-05T00:00:00.000Z", "2020-05-05T00:00:00.000Z"]);
      expect((await engine.applyRetention(plan)).map(({ rows }) => rows)).toEqual([1, 1, 1]);
      expect(await times()).toEqual([]);
    });

    it("treats an aggregate like a dataset", async () => {
      await addAggregate(true);
      if (name === "plain") {
        await database.sql("select store.make_partitions('bars_3m', array['2020-03-01Z'::timestamptz])");
      }
      await database.sql(
        "insert into store.bars_3m_data (series_id, ts, open_price, high_price, low_price, close_price, volume) values (1, '2020-03-01Z', 1, 1, 1, 1, 1)",
      );
      await keep({ bars: { aggregates: { "3m": { keep_for: "2 years" } } } });
      const dropped = await engine.applyRetention(await engine.planRetention({ datasets: ["bars_3m"] }));
      expect(dropped).toMatchObject([{ dataset: "bars_3m", rows: 1, first_time: "2020-03-01T00:00:00.000000Z" }]);
    });

    it("lets a writer into the dropped month have its partition again", async () => {
      await keep({ bars: { keep_for: "1 year" } });
      await write("2020-03-05T00:00:00Z");
      await engine.applyRetention(await engine.planRetention());
      await write("2020-03-05T00:00:00Z", "2020-03-06T00:00:00Z"); // by a client that knew the partition
      const again = micros(partitionOf(name, "2020-03-05T00:00:00Z").start).slice(0, 10);
      expect(await covered("bars")).toEqual([again]);
      expect(await engine.applyRetention(await engine.planRetention())).toMatchObject([{ rows: 2 }]);
    });

    it("says from when on rows are kept, as retention will leave them", async () => {
      const keptSince = async (): Promise<string> =>
        (await database.sql<{ since: string }>("select store.kept_since('bars')::text as since"))[0]!.since;
      expect(await keptSince()).toBe("-infinity");
      await keep({ bars: { keep_for: "90 days" } });
      const start = daysAgo(90);
      const since = micros(partitionOf(name, start.toISOString()).start).slice(0, 10);
      expect(await keptSince()).toContain(since);
      await write(start);
      expect(await keptSince()).toContain(since);
      const plan: RetentionPlan = await engine.planRetention();
      expect(plan.partitions).toEqual([]);
    });
  });

  describe(`the ${name} engine: compression`, () => {
    it("answers for every dataset whose policy asks for it: compressed, or why not", async () => {
      expect(await engine.compress()).toEqual({ compressed: [], skipped: [] });
      await keep({ bars: { compress_after: "30 days" } });
      await write("2020-03-05T00:00:00Z");
      const { compressed, skipped } = await engine.compress();
      if (engine.capabilities.compression.able) expect(compressed).toMatchObject([{ dataset: "bars" }]);
      else expect(skipped).toEqual([{ dataset: "bars", reason: engine.capabilities.compression.reason }]);
    });
  });
}
