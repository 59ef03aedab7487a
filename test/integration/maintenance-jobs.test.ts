/** The work of the maintenance jobs on a real database; queueing, retries and schedules are the runner's. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openStore } from "../../src/client/open-store.ts";
import { readMigrations } from "../../src/database/migration-files.ts";
import { compressionJob } from "../../src/jobs/compression-job.ts";
import type { JobDefinition } from "../../src/jobs/define-job.ts";
import { makePartitionsJob } from "../../src/jobs/make-partitions-job.ts";
import { migrateJob } from "../../src/jobs/migrate-job.ts";
import { retentionJob } from "../../src/jobs/retention-job.ts";
import { bar } from "../support/bars.ts";
import { benchForJob, type JobBench } from "../support/job-bench.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let bench: JobBench | undefined;

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
  await bench?.close();
  bench = undefined;
  await database.drop();
});

const on = async (job: JobDefinition): Promise<JobBench> => {
  bench = await benchForJob(database, job);
  return bench;
};
const rows = async (): Promise<unknown> =>
  (await database.sql<{ count: string }>("select count(*) from store.bars_data"))[0]!.count;

describe("the retention job", () => {
  const months = [
    { partition: "bars_data_2020_03", rows: 2, last_time: "2020-03-07T00:00:00.000000Z" },
    { partition: "bars_data_2020_04", rows: 1 },
    { partition: "bars_data_2020_05", rows: 1 },
  ];

  it("lists on a dry run what it would drop, and drops nothing", async () => {
    const { attempt, runs, runId } = await on(retentionJob);
    expect(await attempt({ dry_run: true })).toMatchObject({
      dry_run: true,
      plan: { partitions: months },
      dropped: [],
    });
    expect(await rows()).toBe("4");
    expect(await runs.get(runId)).toMatchObject({ metadata: { dry_run: true, planned: months } });
  });

  it("drops it, answers with it, and leaves it in the ledger with rows and span", async () => {
    const { attempt, runs, runId } = await on(retentionJob);
    expect(await attempt()).toMatchObject({
      dropped: months,
      rows_dropped: 4,
      compression: { compressed: [], skipped: [{ dataset: "bars" }] },
    });
    expect(await rows()).toBe("0");
    expect(await runs.get(runId)).toMatchObject({
      min_ts: BigInt(Date.UTC(2020, 2, 5)) * 1_000n,
      max_ts: BigInt(Date.UTC(2020, 4, 5)) * 1_000n,
      metadata: { planned: [{}, {}, {}], dropped: months, rows_dropped: 4 },
    });
  });

  it("touches only the datasets that it is asked for", async () => {
    const { attempt } = await on(retentionJob);
    expect(await attempt({ datasets: ["signals"] })).toMatchObject({ dropped: [] });
    await expect(attempt({ datasets: ["stocks"] })).rejects.toMatchObject({ code: "policy_refused" });
    expect(await rows()).toBe("4");
  });

  it("ends after a second attempt as after one", async () => {
    const { attempt, reports } = await on(retentionJob);
    const stop = new AbortController();
    reports.push = (report) => {
      if (report?.message?.startsWith("Dropped bars_data_2020_03")) stop.abort();
      return 1;
    };
    await expect(attempt({}, stop.signal)).rejects.toMatchObject({ code: "aborted" });
    expect(await rows()).toBe("2");
    expect(await attempt()).toMatchObject({ plan: { partitions: [{}, {}, {}] }, dropped: months, rows_dropped: 4 });
    expect(await rows()).toBe("0");
  });
});

describe("the other maintenance jobs", () => {
  it("compression says why the engine does not", async () => {
    const { attempt, reports } = await on(compressionJob);
    const skipped = [{ dataset: "bars", reason: expect.stringContaining("plain engine") }];
    expect(await attempt()).toMatchObject({ capability: { able: false }, compressed: [], skipped });
    expect(reports).toMatchObject([{ metadata: { skipped } }]);
    expect(await attempt({ dry_run: true })).toMatchObject({ dry_run: true, skipped });
  });

  it("make-partitions makes four periods of each dataset, and nothing the second time", async () => {
    const { attempt, runs, runId } = await on(makePartitionsJob);
    const { made } = (await attempt()) as { made: { dataset: string }[] };
    const counts = Map.groupBy(made, ({ dataset }) => dataset);
    for (const dataset of ["bars", "options", "fundamentals", "news", "signals"]) {
      expect(counts.get(dataset)).toHaveLength(4);
    }
    expect(await runs.get(runId)).toMatchObject({ metadata: { made } });
    expect(await attempt()).toEqual({ made: [] });
  });

  it("migrate applies what is pending", async () => {
    const { attempt } = await on(migrateJob);
    expect(await attempt()).toEqual({ applied: [] });
    const newest = (await readMigrations()).at(-1)!;
    await database.sql("delete from store.schema_migrations where version = $1", [newest.version]);
    await database.sql("begin; set local role mds_owner");
    await database.sql(newest.down);
    await database.sql("commit");
    expect(await attempt()).toEqual({ applied: [{ version: newest.version, name: newest.name }] });
  });
});
