/** Retention that is killed at any point, and what writers notice of one that is at work. On plain PostgreSQL. */
import { fileURLToPath } from "node:url";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import type { Engine, RetentionPlan } from "../../src/database/engine/engine.ts";
import { plainEngine } from "../../src/database/engine/plain.ts";
import { bar } from "../support/bars.ts";
import { type RunningCommand, startProgram } from "../support/mds-command.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const PROGRAM = fileURLToPath(new URL("../support/retention-process.ts", import.meta.url));
/** A process has to start first, on a machine that may be busy. */
const PATIENCE_MS = 30_000;
const MARCH = "bars_data_2020_03";

let database: TestDatabase;
let engine: Engine;
let store: Store;
let blockers: pg.Client[];

beforeEach(async () => {
  database = await createTestDatabase();
  engine = plainEngine(database.adminUrl);
  store = await openStore({ url: database.url });
  blockers = [];
  await database.sql("update store.policies set keep_for = '1 year' where dataset = 'bars'");
  await write("2020-03-05T00:00:00Z", "2020-03-06T00:00:00Z", "2020-04-05T00:00:00Z");
});

afterEach(async () => {
  await store.close();
  for (const blocker of blockers) await blocker.end();
  await database.drop();
});

const write = (...times: string[]) => store.bars.upsert(times.map((ts) => bar(0, { ts })));

/** A transaction of somebody else that holds what the statement locks. */
async function hold(statement: string): Promise<{ release(): Promise<unknown> }> {
  const client = new pg.Client({ connectionString: database.adminUrl });
  blockers.push(client);
  await client.connect();
  await client.query("begin");
  await client.query(statement);
  return { release: () => client.query("commit") };
}

/** A query that reads all partitions, as a dump does. */
const holdReader = () => hold("select count(*) from store.bars_data");
const holdRecord = () => hold("lock table store.retired_partitions in share mode");

/** Until retention waits for somebody's lock in a statement that begins like this. */
async function waiting(statement: string): Promise<void> {
  const waiters = () =>
    database.sql(
      `select query from pg_stat_activity where datname = current_database() and application_name = 'mds owner'
         and wait_event_type = 'Lock' and query ilike $1`,
      [`%${statement}%`],
    );
  await expect.poll(waiters, { timeout: PATIENCE_MS }).toHaveLength(1);
}

/** As kill -9 leaves it: the server ends what was under way by itself. */
async function kill({ child, done }: RunningCommand): Promise<void> {
  child.kill("SIGKILL");
  await done;
  await expect
    .poll(
      () =>
        database.sql(
          "select from pg_stat_activity where datname = current_database() and application_name = 'mds owner'",
        ),
      { timeout: PATIENCE_MS },
    )
    .toEqual([]);
}

const start = (plan: RetentionPlan): RunningCommand =>
  startProgram(process.execPath, [PROGRAM, database.adminUrl, JSON.stringify(plan)]);

async function tables(): Promise<string[]> {
  const rows = await database.sql<{ name: string }>(
    "select relname as name from pg_class where relnamespace = 'store'::regnamespace and relname ~ '^bars_data_\\d+_\\d+(_\\d+)?$' order by 1",
  );
  return rows.map(({ name }) => name);
}

async function partitions(): Promise<string[]> {
  const rows = await database.sql<{ name: string }>(
    "select partition_name as name from store.all_partitions('bars') where not detaching order by 1",
  );
  return rows.map(({ name }) => name);
}

describe("retention that is killed", () => {
  const whole = [
    { partition: MARCH, rows: 2, first_time: "2020-03-05T00:00:00.000000Z", last_time: "2020-03-06T00:00:00.000000Z" },
    { partition: "bars_data_2020_04", rows: 1 },
  ];

  it("while it announces: nothing has happened", async () => {
    const plan = await engine.planRetention();
    const record = await holdRecord();
    const running = start(plan);
    await waiting("delete from store.retired_partitions");
    await kill(running);
    await record.release();
    expect(await partitions()).toHaveLength(2);
    expect(await engine.applyRetention(plan)).toMatchObject(whole);
    expect(await tables()).toEqual([]);
  });

  it("after it has announced: the next one begins anew, or forgets it when the policy keeps the rows again", async () => {
    const plan = await engine.planRetention();
    const analyze = await hold("lock table store.bars_data in share update exclusive mode");
    const running = start(plan);
    await waiting("concurrently");
    await kill(running);
    await analyze.release();
    expect(await partitions()).toHaveLength(2);
    expect((await engine.planRetention()).partitions).toMatchObject(whole);
    await database.sql("update store.policies set keep_for = null where dataset = 'bars'");
    expect(await engine.applyRetention(plan)).toEqual([]);
    await database.sql(`alter table store.bars_data detach partition store.${MARCH}`);
    expect((await engine.planRetention()).partitions).toEqual([]);
    await database.sql(
      `alter table store.bars_data attach partition store.${MARCH} for values from ('2020-03-01Z') to ('2020-04-01Z')`,
    );
    await database.sql("update store.policies set keep_for = '1 year' where dataset = 'bars'");
    expect(await engine.applyRetention(plan)).toMatchObject(whole);
  });

  it("while it detaches: the next one finishes that, also with a new plan", async () => {
    const plan = await engine.planRetention();
    const reader = await holdReader();
    const running = start(plan);
    await waiting("concurrently");
    await kill(running);
    await reader.release();
    expect(await partitions()).toEqual(["bars_data_2020_04"]);
    expect(await tables()).toContain(MARCH);
    const next = await engine.planRetention();
    expect(next.partitions).toMatchObject(whole);
    expect(await engine.applyRetention(next)).toMatchObject(whole);
    expect(await tables()).toEqual([]);
  });

  it("between detaching and dropping: what is left is found, finished and told", async () => {
    const plan = await engine.planRetention();
    const running = await killBeforeDrop(plan);
    expect(running.output.stdout).toBe("");
    expect(await tables()).toEqual([MARCH, "bars_data_2020_04"]);
    expect(await partitions()).toEqual(["bars_data_2020_04"]);
    expect((await engine.planRetention()).partitions).toMatchObject(whole);
    expect(await engine.applyRetention(plan)).toMatchObject(whole);
    expect(await tables()).toEqual([]);
    expect(await engine.applyRetention(plan)).toMatchObject(whole);
    expect((await engine.planRetention()).partitions).toEqual([]);
  });

  it("leaves no name in the way of a writer who comes back to the month", async () => {
    const plan = await engine.planRetention();
    await killBeforeDrop(plan);
    expect(await write("2020-03-07T00:00:00Z")).toMatchObject({ inserted: 1 });
    expect(await partitions()).toEqual([`${MARCH}_2`, "bars_data_2020_04"]);
    expect(await engine.applyRetention(plan)).toMatchObject(whole);
    expect(await tables()).toEqual([`${MARCH}_2`]);
    expect(await engine.applyRetention(await engine.planRetention())).toMatchObject([{ rows: 1 }]);
  });

  /** Killed when all is done but the drop of the first partition. */
  async function killBeforeDrop(plan: RetentionPlan): Promise<RunningCommand> {
    const reader = await holdReader();
    const running = start(plan);
    await waiting("concurrently");
    const record = await holdRecord();
    await reader.release();
    await waiting("update store.retired_partitions");
    await kill(running);
    await record.release();
    return running;
  }
});

describe("retention at work", () => {
  it("waits for long readers without being in the way of writers", async () => {
    const reader = await holdReader();
    const applying = engine.applyRetention(await engine.planRetention());
    await waiting("concurrently");
    expect(await write("2024-05-01T00:00:00Z", "2020-04-06T00:00:00Z")).toMatchObject({ inserted: 2 });
    expect(await write("1999-05-01T00:00:00Z")).toMatchObject({ inserted: 1 }); // a partition of its own
    // The month itself is out of sight; who writes to it is told to come back.
    await expect(write("2020-03-07T00:00:00Z")).rejects.toMatchObject({ code: "database_conflict", retryable: true });
    await reader.release();
    expect(await applying).toMatchObject([{ rows: 2 }, { rows: 2 }]);
    expect(await write("2020-03-07T00:00:00Z")).toMatchObject({ inserted: 1 });
  });

  it("is alone: a second one waits its turn and finds nothing left", async () => {
    const plan = await engine.planRetention();
    const reader = await holdReader();
    const first = engine.applyRetention(plan);
    await waiting("concurrently");
    const second = engine.applyRetention(plan);
    await waiting("pg_advisory_lock");
    await reader.release();
    const results = await Promise.all([first, second]);
    expect(results.map((list) => list.map(({ rows }) => rows))).toEqual([
      [2, 1],
      [2, 1],
    ]);
    const rows = await database.sql("select row_count from store.retired_partitions order by range_start");
    expect(rows).toEqual([{ row_count: "2" }, { row_count: "1" }]);
  });

  it("ends soon when it is told to stop while it waits", async () => {
    const reader = await holdReader();
    const stop = new AbortController();
    const applying = engine.applyRetention(await engine.planRetention(), { signal: stop.signal });
    applying.catch(() => {});
    await waiting("concurrently");
    stop.abort();
    await expect(applying).rejects.toMatchObject({ code: "aborted" });
    await reader.release();
    expect(await engine.applyRetention(await engine.planRetention())).toMatchObject([{ rows: 2 }, { rows: 1 }]);
  });

  it("never touches a table that somebody else detached", async () => {
    await database.sql(`alter table store.bars_data detach partition store.${MARCH}`);
    const plan = await engine.planRetention();
    expect(plan.partitions).toMatchObject([{ partition: "bars_data_2020_04" }]);
    await engine.applyRetention(plan);
    expect(await tables()).toEqual([MARCH]);
    // Nor one that it once meant to drop, did not, and somebody detached since.
    const stale = { ...plan, partitions: [{ ...plan.partitions[0]!, partition: MARCH }] };
    expect(await engine.applyRetention(stale)).toEqual([]);
    expect(await tables()).toEqual([MARCH]);
  });
});

describe("the owner's connection", () => {
  it("is refused to a login that may not act as the owner", async () => {
    await expect(plainEngine(database.url).planRetention()).rejects.toMatchObject({
      code: "role_missing",
      message: expect.stringContaining("ADMIN_DATABASE_URL"),
    });
  });
});
