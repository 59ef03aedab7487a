import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { deleteTenant } from "../../src/database/delete-tenant.ts";
import { diagnose } from "../../src/database/doctor/diagnose.ts";
import { dropFormerTables, moveToTimescale } from "../../src/database/engine/move-to-timescale.ts";
import { openEngine } from "../../src/database/engine/open-engine.ts";
import { migrateUp, migrationStatus } from "../../src/database/migrator.ts";
import { openPool } from "../../src/database/pool.ts";
import { allWrongBuckets, barAt, NONE_WRONG, refresh } from "../support/aggregates.ts";
import { bar, collect, manyBars } from "../support/bars.ts";
import { describeDatabase } from "../support/describe-database.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let store: Store;

const years = Array.from({ length: 6 }, (_, at) => `${2018 + at}-03-05T00:00:00Z`);
const own = (lines: string[]): string[] => lines.filter((line) => !/_data_20\d\d|_hyper_|_data_plain/.test(line));

describe.skipIf(process.env["TEST_TIMESCALE_URL"] === undefined)("a database that moves to TimescaleDB", () => {
  beforeEach(async () => {
    database = await createTestDatabase({ empty: true });
    await migrateUp({ adminUrl: database.adminUrl, serviceUrl: database.url, engine: "plain" });
    store = await openStore({ url: database.url });
    await store.bars.upsert([...manyBars(800), ...years.map((ts) => barAt(ts)), ...manyBars(50, { timeframe: "1d" })]);
    await store.news.upsert([{ vendor: "v", published_at: years[0]!, title: "t", url: "https://example.test/" }]);
    await refresh(database);
  });

  afterEach(async () => {
    await store.close();
    await database.drop();
  });

  /** Begins a move that ends when the first partition is copied. */
  async function stopAfter2018(): Promise<void> {
    const stop = new AbortController();
    const onProgress = (message: string): void => {
      if (message.startsWith("Copied bars_data_2018")) stop.abort();
    };
    await moveToTimescale(database.adminUrl, { signal: stop.signal, onProgress }).catch(() => undefined);
  }

  async function errorsOfDoctor(): Promise<string[]> {
    const { adminUrl, url } = database;
    const { findings } = await diagnose({ adminUrl, serviceUrl: url, poolSize: 4, scheduledJobs: [] });
    expect(findings.map(({ code }) => code)).toContain("engine_move_unfinished");
    return findings.filter(({ severity }) => severity === "error").map(({ message }) => message);
  }

  it("has the same rows afterwards, and what was written meanwhile, and is as one that was made so", async () => {
    const before = await collect(store.bars.read({}));
    const news = await collect(store.news.read({}));
    let isMoving = true;
    const written: number[] = [];
    const writer = (async () => {
      for (let at = 0; isMoving; at++) {
        await store.bars.upsert([
          bar(at, { symbol: "LIVE" }),
          bar(at % 800, { volume: at }),
          barAt(years[at % 6]!, { volume: at }),
        ]);
        written.push(at);
      }
    })();
    const told: string[] = [];
    let moved: Awaited<ReturnType<typeof moveToTimescale>>;
    try {
      moved = await moveToTimescale(database.adminUrl, { onProgress: (message) => void told.push(message) });
    } finally {
      isMoving = false;
      await writer;
    }
    expect(moved.map(({ dataset }) => dataset).sort()).toEqual([
      "bars",
      "bars_15m",
      "bars_1d",
      "bars_1h",
      "bars_5m",
      "fundamentals",
      "news",
      "options",
      "signals",
    ]);
    expect(told).toContainEqual(expect.stringMatching(/^Copied bars_data_2018_03: 1 rows of 1 series\.$/));
    expect((await openEngine(database.adminUrl)).name).toBe("timescale");
    const after = await collect(store.bars.read({}));
    expect(after).toHaveLength(before.length + written.length);
    const live = new Map<string, number>();
    for (const at of written) live.set(String(bar(at % 800).ts), at);
    for (const [ts, volume] of live) {
      expect(after.find((row) => row.symbol === "AAA" && row.timeframe === "1m" && String(row.ts) === ts)?.volume).toBe(
        volume,
      );
    }
    expect(await collect(store.news.read({}))).toEqual(news);
    await refresh(database);
    expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
    expect(await moveToTimescale(database.adminUrl)).toEqual([]);
    expect((await migrationStatus({ adminUrl: database.adminUrl })).every(({ state }) => state === "applied")).toBe(
      true,
    );

    expect(await dropFormerTables(database.adminUrl)).toHaveLength(9);
    expect(await dropFormerTables(database.adminUrl)).toEqual([]);
    const made = await createTestDatabase();
    expect(own(await describeDatabase(database))).toEqual(own(await describeDatabase(made)));
    await made.drop();
  });

  it("goes on where it was cut off", async () => {
    const before = await collect(store.bars.read({}));
    const stop = new AbortController();
    const told: string[] = [];
    const cut = moveToTimescale(database.adminUrl, {
      signal: stop.signal,
      onProgress: (message) => {
        told.push(message);
        if (message.startsWith("Copied bars_data_2020")) stop.abort();
      },
    });
    await expect(cut).rejects.toMatchObject({ code: "aborted" });
    expect(await collect(store.bars.read({}))).toEqual(before);
    await store.bars.upsert([barAt(years[0]!, { volume: 77 })]); // in a partition that is copied
    expect(await errorsOfDoctor()).toEqual([]);
    const engine = await openEngine(database.adminUrl);
    const made = await engine.makePartitions({ periodsAhead: 1 });
    expect(new Set(made.map(({ dataset }) => dataset)).size).toBe(9);
    const again: string[] = [];
    await moveToTimescale(database.adminUrl, { onProgress: (message) => void again.push(message) });
    expect(again.some((message) => message.startsWith("Copied bars_data_2018"))).toBe(false);
    const after = await collect(store.bars.read({}));
    expect(after).toHaveLength(before.length);
    expect(after.filter(({ volume }) => volume === 77)).toHaveLength(1);
  });

  it("copies what is written to a time that it is just copying once more", async () => {
    await stopAfter2018();
    // Between a copy and its comparison it waits for us, when nothing is left but what was written since.
    await database.sql(`create function public.hold() returns trigger language plpgsql as $$
      begin
        if exists (select from store.moved_partitions where partition_name = 'bars_data_2024_01') then
          perform pg_advisory_xact_lock_shared(2018);
        end if;
        return null;
      end $$`);
    await database.sql(
      "create trigger hold after insert on store.bars_data_moving for each statement execute function public.hold()",
    );
    await database.sql("select pg_advisory_lock(2018)");
    await store.bars.upsert([barAt(years[0]!, { volume: 77 })]);
    const moving = moveToTimescale(database.adminUrl);
    const waiters = (): Promise<unknown[]> =>
      database.sql("select from pg_locks where locktype = 'advisory' and objid = 2018 and not granted");
    await expect.poll(waiters, { timeout: 30_000 }).toHaveLength(1);
    await store.bars.upsert([barAt(years[0]!, { volume: 78 })]);
    await database.sql("select pg_advisory_unlock(2018)");
    await moving;
    expect((await collect(store.bars.read({}))).filter(({ volume }) => volume === 78)).toHaveLength(1);
  });

  it("refuses a copy that is not what it was made of, and leaves the former table in its place", async () => {
    await stopAfter2018();
    await database.sql(`create function public.spoil() returns trigger language plpgsql as
      'begin new.volume := new.volume + 1; return new; end'`);
    await database.sql(
      "create trigger spoil before insert on store.bars_data_moving for each row execute function public.spoil()",
    );
    await expect(moveToTimescale(database.adminUrl)).rejects.toMatchObject({
      code: "constraint_violated",
      message: expect.stringMatching(/1 series of bars_data differ from their copies in bars_data_moving/),
    });
    expect(await collect(store.bars.read({}))).toHaveLength(856);
  });

  it("deletes a tenant from former tables too", async () => {
    await database.sql("select mds.create_tenant('short', 'short')");
    const other = await openStore({ url: database.url, tenant: "short" });
    await other.bars.upsert(manyBars(10));
    await other.close();
    await moveToTimescale(database.adminUrl);
    const pool = openPool({ url: database.url, applicationName: "test", maxConnections: 1, connectTimeoutMs: 5_000 });
    await deleteTenant({ pool, timeoutMs: 30_000 }, "short");
    await pool.end();
    const [left] = await database.sql<{ moved: number; former: number }>(
      "select (select count(*)::int4 from store.bars_data) as moved, (select count(*)::int4 from store.bars_data_plain) as former",
    );
    expect(left).toEqual({ moved: 856, former: 856 });
  });
});
