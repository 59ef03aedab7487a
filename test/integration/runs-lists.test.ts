import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JobRun } from "../../src/client/job-run.ts";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { ageRun } from "../support/runs.ts";
import { runByHand } from "../support/session.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const job = { job_name: "load", mode: "live" } as const;

let database: TestDatabase;
let a: Store;
let b: Store;

beforeAll(async () => {
  database = await createTestDatabase();
  for (const slug of ["a", "b"]) await database.sql("select mds.create_tenant($1, $1)", [slug]);
  a = await openStore({ url: database.url, tenant: "a" });
  b = await openStore({ url: database.url, tenant: "b" });
});

afterAll(async () => {
  await Promise.all([a.close(), b.close()]);
  await database.drop();
});

/** A job's name that no other test uses. */
let names = 0;
const newName = (): string => `job-${++names}`;

describe("lists", () => {
  it("show the newest first, by filter and to a limit", async () => {
    const job_name = newName();
    const runs: JobRun[] = [];
    for (const [at, mode] of (["live", "backfill", "maintenance", "live"] as const).entries()) {
      const run = await a.runs.start({ job_name, mode, provider: at % 2 === 0 ? "even" : "odd", dataset: "bars" });
      await ageRun(database, run, 10 - at);
      runs.push(run);
    }
    await a.runs.fail(runs[3]!.run_id, "made up");
    const ids = async (filter: object): Promise<number[]> =>
      (await a.runs.recent({ job_name, ...filter })).map((run) => runs.findIndex((one) => one.run_id === run.run_id));
    expect(await ids({})).toEqual([3, 2, 1, 0]);
    expect(await ids({ limit: 2 })).toEqual([3, 2]);
    expect(await ids({ mode: "live" })).toEqual([3, 0]);
    expect(await ids({ status: "running" })).toEqual([2, 1, 0]);
    expect(await ids({ provider: "odd", dataset: "bars" })).toEqual([3, 1]);
    expect(await ids({ dataset: "news" })).toEqual([]);
    for (const wrong of [{ limit: 0 }, { limit: 1_001 }, { jobname: "x" }]) {
      await expect(a.runs.recent(wrong as never)).rejects.toMatchObject({ code: "usage" });
    }
  });

  it("sum up what ended in a window or still runs", async () => {
    const job_name = newName();
    const ended = async (minutes: number, status: "succeeded" | "failed", seconds: number): Promise<void> => {
      const run = await a.runs.start({ ...job, job_name, provider: "p" });
      await a.runs.complete(run.run_id, { status, rows_written: 10, rows_failed: 1 });
      await database.sql(
        `update store.job_runs set completed_at = now() - $2 * interval '1 minute',
           started_at = now() - $2 * interval '1 minute' - $3 * interval '1 second' where run_id = $1`,
        [run.run_id, minutes, seconds],
      );
    };
    await ended(10, "succeeded", 20);
    await ended(50, "failed", 40);
    await ended(70, "succeeded", 7_200);
    await ageRun(database, await a.runs.start({ ...job, job_name, provider: "p" }), 6_000);
    await a.runs.start({ ...job, job_name });
    const of = async (hours: number) => (await a.runs.summary(hours)).filter((row) => row.job_name === job_name);
    expect(await of(1)).toMatchObject([
      { provider: null, runs: 1n, running: 1n, rows_written: 0n, mean_elapsed_us: null, max_elapsed_us: null },
      {
        provider: "p",
        mode: "live",
        runs: 3n,
        running: 1n,
        succeeded: 1n,
        failed: 1n,
        cancelled: 0n,
        rows_written: 20n,
        rows_failed: 2n,
        mean_elapsed_us: 30_000_000n,
        max_elapsed_us: 40_000_000n,
        last_started_at: expect.any(BigInt),
      },
    ]);
    expect((await of(2))[1]).toMatchObject({ runs: 4n, succeeded: 2n, max_elapsed_us: 7_200_000_000n });
  });
});

describe("prune", () => {
  const DAY = 24 * 60;

  it("deletes what ended so many days ago, counts it, and never a running one", async () => {
    const job_name = newName();
    const made: Record<string, JobRun> = {};
    for (const [name, days] of Object.entries({ old: 91, younger: 89, running: 400 })) {
      made[name] = await b.runs.start({ ...job, job_name });
      if (name !== "running") await b.runs.complete(made[name].run_id);
      await ageRun(database, made[name], days * DAY);
    }
    const foreign = await a.runs.start(job);
    await a.runs.complete(foreign.run_id);
    await ageRun(database, foreign, 91 * DAY);
    expect(await b.runs.prune(90, { dryRun: true })).toBe(1n);
    expect(await b.runs.recent({ job_name })).toHaveLength(3);
    expect(await b.runs.prune(90)).toBe(1n);
    expect(await b.runs.prune(90)).toBe(0n);
    expect((await b.runs.recent({ job_name })).map(({ run_id }) => run_id)).toEqual([
      made["younger"]!.run_id,
      made["running"]!.run_id,
    ]);
    await expect(b.runs.get(made["old"]!.run_id)).rejects.toMatchObject({ code: "run_unknown" });
    await a.runs.get(foreign.run_id);
  });

  it("goes in batches, and two at a time delete each run once", async () => {
    await b.runs.prune(9);
    await database.sql(
      `insert into store.job_runs (run_id, tenant_id, job_name, mode, status, started_at, completed_at)
       select gen_random_uuid(), $1, 'many', 'live', 'succeeded', now() - interval '11 days', now() - interval '10 days'
       from generate_series(1, 4500)`,
      [b.tenantId],
    );
    const counts = await Promise.all([b.runs.prune(9), b.runs.prune(9)]);
    expect(counts[0]! + counts[1]!).toBeLessThanOrEqual(4_500n);
    expect(counts[0]! + counts[1]! + (await b.runs.prune(9))).toBe(4_500n);
    expect(await b.runs.prune(9, { dryRun: true })).toBe(0n);
  });

  it.each([0, -1, 0.5, Number.NaN])("refuses %s days", async (days) => {
    await expect(b.runs.prune(days)).rejects.toMatchObject({ code: "usage" });
  });

  it.each(["0", "-1", "null"])("is refused %s days by the database as well", async (days) => {
    await expect(runByHand(database, a.tenantId, `select mds.prune_runs(${days}, 10)`)).resolves.toBe("22023");
    await expect(runByHand(database, a.tenantId, `select mds.count_prunable_runs(${days})`)).resolves.toBe("22023");
  });
});
