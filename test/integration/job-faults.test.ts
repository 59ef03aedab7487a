/** What becomes of jobs when processes are killed, the database goes away, and schedules change. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { z } from "zod";
import { defineJob } from "../../src/jobs/define-job.ts";
import { JobRunner } from "../../src/jobs/runner.ts";
import { StoreMetrics } from "../../src/telemetry/metrics.ts";
import { countingJob } from "../support/counting-job.ts";
import { QUICK } from "../support/job-timing.ts";
import { becomes, begins, keptLog, startRunner } from "../support/jobs.ts";
import { startDatabaseProxy } from "../support/tcp-proxy.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database.drop());

const nothing = z.strictObject({});

/** A runner in another process; resolves when it has done two steps of the job `counting`. */
async function startProcess(): Promise<{ kill(): Promise<void> }> {
  const { url, adminUrl } = database;
  const file = join(import.meta.dirname, "../support/job-process.ts");
  const child = fork(file, [JSON.stringify({ url, adminUrl })], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const ended = once(child, "close");
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  onTestFinished(kill);
  await vi.waitFor(async () => expect((await once(child, "message"))[0]).toEqual({ step: 2 }), { timeout: 20_000 });
  return { kill };
}

describe("a process that is killed in the middle of a job", () => {
  it("leaves it to another, which goes on from the checkpoint and completes the lost run", async () => {
    const accepting = await startRunner(database, { definitions: [countingJob(async () => {})], work: false });
    const { id, tenant } = await accepting.enqueue("counting", { tenant: "default", steps: 5 });
    const process = await startProcess();
    const { run_id } = await begins(accepting, id);
    await process.kill();
    const metrics = new StoreMetrics();
    await startRunner(database, { definitions: [countingJob(async () => {})], metrics });
    const done = await becomes(accepting, id, "succeeded", 30_000);
    expect(done).toMatchObject({
      result: { first: 2, attempt: 2 },
      attempts: 2,
      progress: { rows_written: 5, rows_failed: 0, message: "Step 5." },
      tenant,
    });
    expect(await database.sql("select count(*)::int4 as bars from store.bars_data")).toEqual([{ bars: 5 }]);
    const runs = await database.sql<object>(
      `select run_id, tenant_id, dataset, mode, status, error, rows_written::int4 as rows
       from store.job_runs where job_name = 'counting' order by started_at`,
    );
    const common = { tenant_id: tenant, dataset: "bars", mode: "backfill" };
    expect(runs).toMatchObject([
      {
        ...common,
        run_id,
        status: "failed",
        rows: 2,
        error: expect.stringMatching(/^The process .* attempt 2 goes on/),
      },
      { ...common, run_id: done.run_id, status: "succeeded", rows: 3, error: null },
    ]);
    const text = await metrics.render();
    expect(text).toMatch(/store_job_runs_total\{job_name="counting",provider="",mode="backfill",status="failed"\} 1/);
    expect(text).toMatch(
      /store_job_runs_total\{job_name="counting",provider="",mode="backfill",status="succeeded"\} 1/,
    );
  }, 60_000);

  it("leaves no run open when the job is cancelled meanwhile", async () => {
    const accepting = await startRunner(database, { definitions: [countingJob(async () => {})], work: false });
    const { id } = await accepting.enqueue("counting", { tenant: "default", steps: 5 });
    const process = await startProcess();
    const { run_id } = await begins(accepting, id);
    await process.kill();
    await accepting.cancel(id);
    await database.sql("update store.job_progress set updated_at = updated_at - interval '1 hour' where job_id = $1", [
      id,
    ]);
    await database.sql("update store.job_runs set heartbeat_at = heartbeat_at - interval '1 hour' where run_id = $1", [
      run_id,
    ]);
    await startRunner(database, { definitions: [countingJob(async () => {})] });
    await expect
      .poll(() => database.sql("select status, error from store.job_runs where run_id = $1", [run_id]), {
        timeout: 5_000,
      })
      .toEqual([{ status: "cancelled", error: "The process that ran it ended before the job did." }]);
  }, 60_000);
});

describe("an attempt that was taken over", () => {
  it("can write nothing any more", async () => {
    const refusals: unknown[] = [];
    const slow = defineJob({
      name: "slow",
      description: "Is thought to be dead.",
      schema: nothing,
      mode: "maintenance",
      async run({ attempt, saveCheckpoint, report, signal, jobId }) {
        if (attempt > 1) return { attempt };
        await saveCheckpoint("first");
        // What another runner does that takes the job up.
        await database.sql(`select mds.begin_job_attempt($1, 'slow', 2, gen_random_uuid(), null)`, [jobId]);
        for (const write of [() => saveCheckpoint("late"), () => report({ rows_written: 1 })]) {
          await write().catch((error: unknown) => refusals.push(error));
        }
        await database.sql("update pgboss.job set state = 'retry' where id = $1", [jobId]);
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        signal.throwIfAborted();
        return null;
      },
    });
    const runner = await startRunner(database, { definitions: [slow] });
    const { id } = await runner.enqueue("slow", {});
    expect(await becomes(runner, id, "succeeded", 20_000)).toMatchObject({ result: { attempt: 2 } });
    expect(refusals).toMatchObject([{ code: "job_superseded" }, { code: "job_superseded" }]);
    expect(await database.sql("select checkpoint from store.job_progress where job_id = $1", [id])).toEqual([
      { checkpoint: "first" },
    ]);
  }, 30_000);
});

describe("a database that goes away", () => {
  it("is waited for, with one line in the log, and jobs go on when it is back", async () => {
    const away = {
      service: await startDatabaseProxy(database.url),
      admin: await startDatabaseProxy(database.adminUrl),
    };
    onTestFinished(async () => {
      await away.service.close();
      await away.admin.close();
    });
    const { log, lines } = keptLog();
    const hello = defineJob({
      name: "hello",
      description: "Says hello.",
      schema: nothing,
      mode: "maintenance",
      run: async () => "hello",
    });
    const urls = { url: away.service.url, adminUrl: away.admin.url };
    const runner = await startRunner(urls, { definitions: [hello], log });
    const first = await runner.enqueue("hello", {});
    await becomes(runner, first.id, "succeeded");
    away.service.cut();
    away.admin.cut();
    await vi.waitFor(() => expect(runner.problem).toMatchObject({ code: "database_unavailable" }), { timeout: 10_000 });
    await expect(runner.enqueue("hello", {})).rejects.toMatchObject({ retryable: true });
    away.service.heal();
    away.admin.heal();
    await vi.waitFor(() => expect(runner.problem).toBeUndefined(), { timeout: 10_000 });
    const second = await runner.enqueue("hello", {});
    await becomes(runner, second.id, "succeeded");
    const told = lines.filter(({ level, msg }) => level !== "debug" && msg.startsWith("The job queue"));
    expect(told.map(({ msg }) => msg)).toEqual([
      "The job queue is away; jobs wait until it is back.",
      "The job queue is back.",
    ]);
  }, 40_000);
});

describe("schedules", () => {
  const due = (schedule: string | undefined, name = "due", group = "tests") => {
    const job = defineJob({
      name,
      description: "Is due.",
      schema: z.strictObject({ days: z.number().default(7) }),
      mode: "maintenance",
      ...(schedule !== undefined && { schedule }),
      run: async ({ input: { days } }) => ({ days }),
    });
    return { definitions: [job], group };
  };
  const schedules = () =>
    database.sql<object>("select name, key, cron, timezone from pgboss.schedule order by name, key");

  it("are made, changed and removed with their definitions, and leave other groups alone", async () => {
    const start = async (options: ReturnType<typeof due>): Promise<void> => {
      const runner = new JobRunner({ urls: async () => database, ...options, log: keptLog().log, timing: QUICK });
      await runner.start();
      await runner.stop({ timeoutMs: 5_000 });
    };
    await start(due("0 3 1 1 *"));
    await start(due("0 4 1 1 *", "theirs", "others"));
    await start(due("0 5 1 1 *"));
    const theirs = { name: "theirs", key: "others", cron: "0 4 1 1 *", timezone: "UTC" };
    expect(await schedules()).toEqual([{ name: "due", key: "tests", cron: "0 5 1 1 *", timezone: "UTC" }, theirs]);
    await start(due("0 3 1 1 *", "renamed"));
    expect(await schedules()).toMatchObject([{ name: "renamed" }, { name: "theirs" }]);
    await start(due(undefined, "renamed"));
    expect(await schedules()).toEqual([theirs]);
  });

  it("run the job with its schema's defaults", async () => {
    const runner = await startRunner(database, due("* * * * *"));
    await vi.waitFor(async () => expect(await runner.list({ name: "due", state: "succeeded" })).not.toEqual([]), {
      timeout: 20_000,
    });
    expect((await runner.list({ name: "due", state: "succeeded" }))[0]).toMatchObject({ result: { days: 7 } });
  }, 30_000);

  it("take the place of those of the same schedule that wait behind", async () => {
    const options = due(undefined, "piled");
    const accepting = await startRunner(database, { ...options, work: false });
    const asked = [];
    for (let jobs = 0; jobs < 5; jobs++) asked.push(await accepting.enqueue("piled", {}));
    const others = asked.slice(0, 4).map(({ id }) => id);
    // What the schedule would have made while no runner was there for the first of them.
    const scheduled = `update pgboss.job set data = data || '{"scheduled": true}' where id = any ($1)`;
    await database.sql(scheduled, [others]);
    await startRunner(database, options);
    await becomes(accepting, asked[4]!.id, "succeeded");
    expect((await accepting.list({ name: "piled" })).map(({ id }) => id)).toEqual([asked[4]!.id, asked[0]!.id]);
  });

  it.each([
    [due("every day"), /"every day" of the job due is no cron expression of five fields/],
    [due("0 0 3 * * *"), /no cron expression of five fields/],
    [
      { definitions: [{ ...due("0 3 * * *").definitions[0]!, schema: z.strictObject({ must: z.string() }) }] },
      /must do without an input/,
    ],
  ])("are refused at the start where they are none: %#", async (options, message) => {
    const runner = new JobRunner({ urls: async () => database, ...options, log: keptLog().log, timing: QUICK });
    onTestFinished(() => runner.stop({ timeoutMs: 1_000 }));
    await expect(runner.start()).rejects.toMatchObject({ code: "usage", message: expect.stringMatching(message) });
  });
});

describe("the health of the queue", () => {
  it("is a view for administrators alone, and a metric", async () => {
    const metrics = new StoreMetrics();
    const idle = defineJob({
      name: "idle",
      description: "Waits.",
      schema: nothing,
      mode: "live",
      run: async () => null,
    });
    const accepting = await startRunner(database, { definitions: [idle], work: false });
    for (let jobs = 0; jobs < 3; jobs++) await accepting.enqueue("idle", {});
    const health =
      "select depth, oldest_age >= interval '0' as old, active, failed from mds.job_queue_health where job_name = 'idle'";
    expect(await database.sql(health)).toEqual([{ depth: "3", old: true, active: "0", failed: "0" }]);
    await database.sql("set role mds_admin");
    expect(await database.sql("select job_name from mds.job_queue_health where job_name = 'idle'")).toHaveLength(1);
    await database.sql("set role mds_app");
    await expect(database.sql("select job_name from mds.job_queue_health")).rejects.toThrow(/permission denied/);
    await database.sql("reset role");
    const other = defineJob({ name: "other", description: "x", schema: nothing, mode: "live", run: async () => null });
    await startRunner(database, { definitions: [other], metrics });
    await vi.waitFor(async () => expect(await metrics.render()).toMatch(/mds_job_queue_depth\{job_name="idle"\} 3/), {
      timeout: 5_000,
    });
    expect(await metrics.render()).toMatch(/mds_job_queue_oldest_age_seconds\{job_name="idle"\} [\d.]+/);
  });
});
