/**
 * kill -9 of the service in the middle of each job. That it is the middle is certain: the job waits for a lock which the
 * test holds. After a restart the job goes on by itself, and what it leaves is what it leaves when nobody was killed.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { describe, expect, inject, it, vi } from "vitest";
import { openStore } from "../../src/client/open-store.ts";
import type { Job } from "../../src/contracts/job.ts";
import { readMigrations } from "../../src/database/migration-files.ts";
import { migrateDown } from "../../src/database/migrator.ts";
import { builtInJobs } from "../../src/jobs/built-in-jobs.ts";
import { JobRunner } from "../../src/jobs/runner.ts";
import { allWrongBuckets, barAt, NONE_WRONG, refresh } from "../support/aggregates.ts";
import { barsCsv, manyBars } from "../support/bars.ts";
import { type ControlPlane, startControlPlane } from "../support/control-plane.ts";
import { QUICK } from "../support/job-timing.ts";
import { keptLog } from "../support/jobs.ts";
import { schemaContents, storeContents } from "../support/store-contents.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

/** Processes have to start first, on a machine that may be busy. */
const PATIENCE_MS = 60_000;
const TEST_MS = 180_000;
const FEBRUARY_ROW = "select from store.bars_5m_data where ts >= '2024-02-01Z' and ts < '2024-03-01Z' for update";

interface KilledJob {
  readonly name: string;
  readonly input: (folder: string) => object;
  prepare(database: TestDatabase, folder: string): Promise<unknown>;
  /** What the test holds, in a transaction of its own; with `afterOthers` from when the job waits for its transaction. */
  readonly lock: string | ((database: TestDatabase) => Promise<string>);
  readonly afterOthers?: boolean;
  /** Of the state that has to be the same; the contents of all tables unless given. */
  readonly state?: (database: TestDatabase) => Promise<unknown>;
  /** What is true in the middle, and of no job that has not begun or has ended. */
  middle(database: TestDatabase): Promise<void>;
  /** What the finished job tells that has to be the same; its whole result unless given. */
  readonly told?: (job: Job) => unknown;
}

const count = async (database: TestDatabase, from: string): Promise<number> =>
  (await database.sql<{ count: number }>(`select count(*)::int4 as count from ${from}`))[0]!.count;

async function storeBars(database: TestDatabase, ...days: string[]): Promise<void> {
  await using store = await openStore({ url: database.url });
  await store.bars.upsert(days.flatMap((day) => [0, 1, 7].map((at) => barAt(`${day}T10:0${at}:00Z`))));
}

async function storeTenant(database: TestDatabase, tenant: string): Promise<void> {
  await database.sql("select mds.create_tenant($1, $1)", [tenant]);
  await using store = await openStore({ url: database.url, tenant });
  await store.bars.upsert(manyBars(12_000, { symbol: tenant }));
  await store.news.upsert([{ vendor: "v", published_at: "2024-01-02T00:00:00Z", title: tenant, url: "u" }]);
}

/** The table that holds the bars of a time, as SQL. */
async function partitionOf(database: TestDatabase, time: string): Promise<string> {
  const [row] = await database.sql<{ name: string }>(
    `select c.oid::regclass::text as name from store.partitions('bars') p join pg_class c on c.relname = p.partition_name
     where p.range_start <= $1 and p.range_end > $1`,
    [time],
  );
  return row!.name;
}

/** Over TCP the server may still commit what a killed process had asked for, which nobody counts then. */
const isSocket = (url: string): boolean => new URL(url).searchParams.has("host");

/** A result counts what its own attempt did; progress all of them. */
const bucketsWritten = ({ progress }: Job): number => progress!.rows_written;

const JOBS: readonly KilledJob[] = [
  {
    name: "ingest-files",
    input: (folder) => ({ dataset: "bars", files: [join(folder, "*.csv")] }),
    async prepare(database, folder) {
      // Into April, with a checkpoint shortly before it, and a bad line in each part.
      const rows = barsCsv(17_900, 112_000).replace("\n", "\nnonsense\n");
      await writeFile(join(folder, "a.csv"), `${rows}nonsense\n`);
      await writeFile(join(folder, "b.csv"), barsCsv(0, 500, "BBB"));
      await storeBars(database, "2024-04-01");
    },
    lock: async (database) => `lock table ${await partitionOf(database, "2024-04-01Z")} in share mode`,
    async middle(database) {
      expect(await count(database, "store.bars_data")).toBeGreaterThan(100_000);
      expect(await count(database, "store.job_progress where checkpoint is not null")).toBe(1);
    },
    // What was stored after the last checkpoint is read again, and is unchanged then.
    told: ({ result }) => {
      const { files, rejects, rows } = result as { files: object; rejects: object[]; rows: Record<string, number> };
      return { files, rejects, rejected: rows["rejected"], stored: rows["inserted"]! + rows["unchanged"]! };
    },
  },
  {
    name: "rebuild-aggregates",
    input: () => ({ start: "2024-01-01T00:00:00Z" }),
    async prepare(database) {
      await storeBars(database, "2024-01-05", "2024-02-05", "2024-03-05");
      await refresh(database);
      await database.sql("update store.bars_5m_data set volume = 1");
      await database.sql("delete from store.bars_1h_data");
    },
    lock: FEBRUARY_ROW,
    async middle(database) {
      expect(await count(database, "store.bars_5m_data where ts < '2024-02-01Z' and volume <> 1")).toBe(2);
      expect(await count(database, "store.bars_5m_data where ts >= '2024-02-01Z' and volume = 1")).toBe(4);
    },
    told: bucketsWritten,
  },
  {
    name: "refresh-aggregates",
    input: () => ({ dataset: "bars" }),
    async prepare(database) {
      await storeBars(database, "2024-01-05", "2024-02-05", "2024-03-05");
      await refresh(database);
      await database.sql("update store.bars_data set close_price = close_price + 1, volume = 5000");
    },
    lock: FEBRUARY_ROW,
    async middle(database) {
      expect(await count(database, "store.bars_dirty")).toBeGreaterThan(0);
    },
    told: bucketsWritten,
  },
  {
    name: "retention",
    input: () => ({}),
    async prepare(database) {
      await storeBars(database, "2020-03-05", "2020-04-05", "2020-05-05", "2024-01-05");
      await database.sql("update store.policies set keep_for = '1 year' where dataset = 'bars'");
    },
    lock: async (database) => `lock table ${await partitionOf(database, "2020-04-05Z")} in access share mode`,
    async middle(database) {
      expect(await count(database, "store.retired_partitions where dropped_at is not null")).toBe(1);
      // On TimescaleDB announcing and dropping are one transaction.
      const open = await count(database, "store.retired_partitions where dropped_at is null");
      expect(open).toBe(inject("engine") === "plain" ? 1 : 0);
    },
    // Times are those of the attempt that dropped the partition.
    told: ({ result }) => {
      const { dropped, rows_dropped } = result as { dropped: object[]; rows_dropped: number };
      return { dropped: dropped.map((one) => ({ ...one, detach_ms: null, drop_ms: null })), rows_dropped };
    },
  },
  {
    name: "delete-tenant",
    input: () => ({ tenant: "doomed" }),
    async prepare(database) {
      await storeTenant(database, "doomed");
      await storeTenant(database, "other");
    },
    lock: "lock table store.news_data in share mode",
    afterOthers: true,
    async middle(database) {
      expect(await count(database, "store.bars_data")).toBe(12_000);
      expect(await count(database, "store.news_data")).toBe(2);
      expect(await count(database, "store.tenants where state = 'deleting'")).toBe(1);
    },
    told: ({ result }) => ({ ...(result as object), tenant_id: undefined }),
  },
  {
    name: "verify-coverage",
    input: () => ({ timeframe: "1m", start: "2024-01-05T00:00:00Z", end: "2024-01-06T00:00:00Z" }),
    prepare: (database) => storeBars(database, "2024-01-05"),
    lock: "lock table store.bars_data in access exclusive mode",
    async middle() {},
  },
  {
    name: "migrate",
    input: () => ({}),
    prepare: ({ adminUrl }) => migrateDown({ adminUrl }, { to: 12 }),
    // The newest one waits to be told whether this row stays.
    lock: async () =>
      `insert into store.schema_migrations (version, name, checksum) values (${(await readMigrations()).length}, 'x', 'x')`,
    async middle(database) {
      const applied = await count(database, "store.schema_migrations");
      expect(applied).toBe((await readMigrations()).length - 1);
    },
    state: schemaContents,
    // What the first attempt applied is not pending for the second.
    told: () => undefined,
  },
];

/** Until the value is there, or the condition holds. */
const eventually = <T>(read: () => Promise<T>): Promise<T> => vi.waitFor(read, { timeout: PATIENCE_MS, interval: 50 });

/** The job to its end in this process. */
async function runWhole(database: TestDatabase, job: KilledJob, folder: string): Promise<Job> {
  const runner = new JobRunner({
    urls: async () => database,
    definitions: builtInJobs({ dirs: [folder], hosts: [], credentials: new Map() }),
    work: [job.name],
    log: keptLog().log,
    timing: QUICK,
  });
  await runner.start();
  try {
    const { id } = await runner.enqueue(job.name, job.input(folder));
    return await eventually(async () => {
      const done = await runner.get(id);
      expect(done.state).toBe("succeeded");
      return done;
    });
  } finally {
    await runner.stop();
  }
}

async function holding(database: TestDatabase, statement: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.adminUrl, application_name: "holder" });
  // Its database goes away with a test that fails.
  client.on("error", () => {});
  await client.connect();
  await client.query("begin");
  await client.query(statement);
  return client;
}

/** Until the job waits for what the test holds. */
async function startAndHoldUp(plane: ControlPlane, database: TestDatabase, job: KilledJob, folder: string) {
  const other = job.afterOthers ? await holding(database, "select 1") : undefined;
  const lock = typeof job.lock === "string" ? job.lock : await job.lock(database);
  let holder = other === undefined ? await holding(database, lock) : undefined;
  const id = await ask(plane, job, folder);
  if (other !== undefined) {
    await eventually(async () => expect((await plane.control.job(id)).progress?.message).toMatch(/^Waiting for/));
    holder = await holding(database, lock);
    await other.end();
  }
  const waiting = `select from pg_stat_activity a where a.datname = current_database()
    and exists (select from pg_stat_activity h where h.application_name = 'holder' and h.pid = any (pg_blocking_pids(a.pid)))`;
  await eventually(async () => expect(await database.sql(waiting)).not.toEqual([]));
  return { id, holder: holder! };
}

async function ask({ control }: ControlPlane, { name, input }: KilledJob, folder: string): Promise<string> {
  const body = input(folder);
  switch (name) {
    case "migrate":
      return (await control.migrate()).job_id;
    case "retention":
      return (await control.applyRetention(body)).job_id;
    case "refresh-aggregates":
      return (await control.refreshAggregates(body)).job_id;
    case "delete-tenant":
      return (await control.deleteTenant((body as { tenant: string }).tenant)).job_id;
    default:
      return (await control.backfill(name, body)).job_id;
  }
}

/** The service is killed in the middle, and started again. */
async function runKilled(database: TestDatabase, job: KilledJob, folder: string): Promise<Job> {
  const environment = { MDS_BACKFILL_DIRS: folder, MDS_MIGRATE_ON_START: "false" };
  const first = await startControlPlane(database, environment);
  let held: Awaited<ReturnType<typeof startAndHoldUp>>;
  try {
    held = await startAndHoldUp(first, database, job, folder);
  } finally {
    await first.kill();
  }
  const { id, holder } = held;
  await job.middle(database);
  await holder.end();
  const sessions =
    "select application_name from pg_stat_activity where datname = current_database() and application_name like 'mds%'";
  await eventually(async () => expect(await database.sql(sessions)).toEqual([]));
  // As though the time had passed after which a silent runner is taken for dead.
  const age = "update pgboss.job set heartbeat_on = heartbeat_on - interval '1 hour', retry_delay = 0 where id = $1";
  await database.sql(age, [id]);
  const second = await startControlPlane(database, environment);
  try {
    return await second.control.waitForJob(id, { timeoutMs: PATIENCE_MS });
  } finally {
    await second.stop();
  }
}

async function withDatabase<T>(job: KilledJob, folder: string, work: (database: TestDatabase) => Promise<T>) {
  const database = await createTestDatabase();
  try {
    await job.prepare(database, folder);
    const done = await work(database);
    if (job.name.endsWith("aggregates")) expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
    // The service refreshes every minute: which minutes passed meanwhile is no matter of the job.
    await refresh(database);
    const state = await (job.state ?? storeContents)(database);
    const runs = await database.sql<{ status: string; error: string | null }>(
      "select status, error from store.job_runs where job_name = $1 order by started_at",
      [job.name],
    );
    return { done, state, runs, url: database.url };
  } finally {
    await database.drop();
  }
}

describe("kill -9 in the middle of", () => {
  it.concurrent.each(JOBS)(
    "$name: a restart ends in the same state as without it",
    async (job) => {
      const folder = await mkdtemp(join(tmpdir(), "mds-killed-"));
      try {
        const whole = await withDatabase(job, folder, (database) => runWhole(database, job, folder));
        const killed = await withDatabase(job, folder, (database) => runKilled(database, job, folder));
        expect(killed.state).toEqual(whole.state);
        expect(killed.done).toMatchObject({ state: "succeeded", attempts: 2, error: null });
        const told = job.told ?? (({ result }: Job) => result);
        if (isSocket(killed.url)) expect(told(killed.done)).toEqual(told(whole.done));
        expect(killed.runs.slice(0, 2)).toEqual([
          { status: "failed", error: expect.stringMatching(/^The process that ran it ended before the job did/) },
          { status: "succeeded", error: null },
        ]);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
    TEST_MS,
  );
});
