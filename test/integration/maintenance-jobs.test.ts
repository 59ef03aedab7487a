/** The work of the maintenance jobs on a real database; queueing, retries and schedules are the runner's. */
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import type { JobRunDetail } from "../../src/client/job-run.ts";
import { openStore } from "../../src/client/open-store.ts";
import { Runs } from "../../src/client/runs.ts";
import { readMigrations } from "../../src/database/migration-files.ts";
import { openPool } from "../../src/database/pool.ts";
import { compressionJob } from "../../src/jobs/compression-job.ts";
import type { JobDefinition } from "../../src/jobs/define-job.ts";
import { makePartitionsJob } from "../../src/jobs/make-partitions-job.ts";
import { migrateJob } from "../../src/jobs/migrate-job.ts";
import { retentionJob } from "../../src/jobs/retention-job.ts";
import { bar } from "../support/bars.ts";
import { type Attempt, type AttemptOptions, attemptJob } from "../support/job-context.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const isPlain = inject("engine") === "plain";
let database: TestDatabase;

beforeEach(async () => {
  database = await createTestDatabase();
  const store = await openStore({ url: database.url });
  await store.bars.upsert(
    ["2020-03-05", "2020-03-07", "2020-04-05", "2020-05-05"].map((day) => bar(0, { ts: `${day}T00:00:00Z` })),
  );
  await store.close();
  await database.sql(
    "update store.policies set keep_for = '1 year', compress_after = '30 days' where dataset = 'bars'",
  );
});

afterEach(async () => {
  await database.drop();
});

interface Ledgered extends Attempt {
  /** What the ledger keeps of the run. */
  readonly run: JobRunDetail;
}

/** One attempt, whose reports go to a run of the system's ledger. */
async function attempt(job: JobDefinition, input: object = {}, options: AttemptOptions = {}): Promise<Ledgered> {
  const pool = openPool({ url: database.url, applicationName: "test", maxConnections: 1, connectTimeoutMs: 5_000 });
  const runs = new Runs({ pool, role: "mds_admin", timeoutMs: 10_000 });
  try {
    const { run_id } = await runs.start({ job_name: job.name, mode: job.mode });
    const done = await attemptJob(database, job, input, {
      ...options,
      onReport: async ({ message, ...progress }) => {
        await runs.progress(run_id, progress);
        await options.onReport?.({ message: message ?? "", ...progress });
      },
    });
    return { ...done, run: await runs.get(run_id) };
  } finally {
    await pool.end();
  }
}

async function resultOf(job: JobDefinition, input: object = {}): Promise<unknown> {
  const { result, error } = await attempt(job, input);
  expect(error).toBeUndefined();
  return result;
}

const rows = async (): Promise<unknown> =>
  (await database.sql<{ count: string }>("select count(*) from store.bars_data"))[0]!.count;

describe("the retention job", () => {
  /** Of a month, or the chunk with the rows of that month. */
  const named = (month: string): unknown => (isPlain ? `bars_data_${month}` : expect.stringMatching(/^_hyper_/));
  const months = [
    { partition: named("2020_03"), rows: 2, last_time: "2020-03-07T00:00:00.000000Z" },
    { partition: named("2020_04"), rows: 1 },
    { partition: named("2020_05"), rows: 1 },
  ];

  it("lists on a dry run what it would drop, and drops nothing", async () => {
    const { result, run } = await attempt(retentionJob, { dry_run: true });
    expect(result).toMatchObject({ dry_run: true, plan: { partitions: months }, dropped: [] });
    expect(run).toMatchObject({ metadata: { dry_run: true, planned: months } });
    expect(await rows()).toBe("4");
  });

  it("drops it, answers with it, and leaves it in the ledger with rows and span", async () => {
    const { result, run } = await attempt(retentionJob);
    expect(result).toMatchObject({
      dropped: months,
      rows_dropped: 4,
    });
    expect(await rows()).toBe("0");
    expect(run).toMatchObject({
      min_ts: BigInt(Date.UTC(2020, 2, 5)) * 1_000n,
      max_ts: BigInt(Date.UTC(2020, 4, 5)) * 1_000n,
      metadata: { planned: [{}, {}, {}], dropped: months, rows_dropped: 4 },
    });
  });

  it("touches only the datasets that it is asked for", async () => {
    expect(await resultOf(retentionJob, { datasets: ["signals"] })).toMatchObject({ dropped: [] });
    const { error } = await attempt(retentionJob, { datasets: ["stocks"] });
    expect(error).toMatchObject({ code: "policy_refused" });
    expect(await rows()).toBe("4");
  });

  it("ends after a second attempt as after one", async () => {
    const stop = new AbortController();
    const first = await attempt(
      retentionJob,
      {},
      {
        signal: stop.signal,
        onReport: ({ message }) => {
          if (message?.startsWith("Dropped ")) stop.abort();
        },
      },
    );
    expect(first.error).toMatchObject({ code: "aborted" });
    expect(await rows()).toBe("2");
    const second = await attempt(retentionJob, {}, { checkpoint: first.checkpoint, attempt: 2 });
    expect(second.result).toMatchObject({ plan: { partitions: [{}, {}, {}] }, dropped: months, rows_dropped: 4 });
    expect(second.run).toMatchObject({ metadata: { dropped: months, rows_dropped: 4 } });
    expect(await rows()).toBe("0");
  });
});

describe("the other maintenance jobs", () => {
  it.runIf(isPlain)("compression says why the engine does not", async () => {
    const skipped = [{ dataset: "bars", reason: expect.stringContaining("plain engine") }];
    const { result, run } = await attempt(compressionJob);
    expect(result).toMatchObject({ capability: { able: false }, compressed: [], skipped });
    expect(run).toMatchObject({ metadata: { skipped } });
    expect(await resultOf(compressionJob, { dry_run: true })).toMatchObject({ dry_run: true, skipped });
  });

  it.skipIf(isPlain)(
    "compression compresses what is older than the policy says, and nothing the second time",
    async () => {
      // What retention is about to drop is left to it.
      expect(await resultOf(compressionJob)).toMatchObject({ compressed: [], skipped: [] });
      await database.sql("update store.policies set keep_for = null where dataset = 'bars'");
      const months = ["2020-03-05", "2020-04-02", "2020-04-30"];
      const compressed = months.map((day) => ({ dataset: "bars", range_start: `${day}T00:00:00.000000Z` }));
      expect(await resultOf(compressionJob, { dry_run: true })).toMatchObject({
        dry_run: true,
        compressed,
        skipped: [],
      });
      const { result, run } = await attempt(compressionJob);
      expect(result).toMatchObject({ capability: { able: true }, compressed, skipped: [] });
      expect(run).toMatchObject({ metadata: { compressed } });
      expect(await resultOf(compressionJob)).toMatchObject({ compressed: [], skipped: [] });
    },
  );

  it.skipIf(isPlain)("make-partitions has nothing to make: a hypertable makes its chunks itself", async () => {
    expect(await resultOf(makePartitionsJob)).toEqual({ made: [] });
  });

  it.runIf(isPlain)("make-partitions makes four periods of each dataset, and nothing the second time", async () => {
    const { result, run } = await attempt(makePartitionsJob);
    const { made } = result as { made: { dataset: string }[] };
    const counts = Map.groupBy(made, ({ dataset }) => dataset);
    for (const dataset of ["bars", "options", "fundamentals", "news", "signals"]) {
      expect(counts.get(dataset)).toHaveLength(4);
    }
    expect(run).toMatchObject({ metadata: { made } });
    expect(await resultOf(makePartitionsJob)).toEqual({ made: [] });
  });

  it("migrate applies what is pending", async () => {
    const counted: number[] = [];
    const job = migrateJob((migrations) => counted.push(migrations));
    expect(await resultOf(job)).toEqual({ applied: [] });
    const newest = (await readMigrations(inject("engine"))).at(-1)!;
    await database.sql("delete from store.schema_migrations where version = $1", [newest.version]);
    await database.sql("begin; set local role mds_owner");
    await database.sql(newest.down);
    await database.sql("commit");
    expect(await resultOf(job)).toEqual({ applied: [{ version: newest.version, name: newest.name }] });
    expect(counted).toEqual([0, 1]);
  });
});
