/** The life of jobs: accepted, run, tried again, cancelled, and shown. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { job as jobContract } from "../../src/contracts/job.ts";
import { StoreError } from "../../src/errors/store-error.ts";
import { defineJob, type JobContext } from "../../src/jobs/define-job.ts";
import { JobRunner } from "../../src/jobs/runner.ts";
import { StoreMetrics } from "../../src/telemetry/metrics.ts";
import { becomes, begins, keptLog, startRunner } from "../support/jobs.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database.drop());

const numbers = z.strictObject({ count: z.number().int().default(3) });

/** A job whose work the test gives. */
function jobOf(name: string, run: (context: JobContext<{ count: number }>) => Promise<unknown>, maxAttempts = 3) {
  return defineJob({ name, description: "A test's job.", schema: numbers, mode: "maintenance", maxAttempts, run });
}

/** Until the signal is aborted. */
function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
}

describe("a job of one's own", () => {
  it("is accepted, run, and shown with its result, progress and run", async () => {
    const metrics = new StoreMetrics();
    const sum = jobOf("sum", async ({ input, report, attempt, jobId }) => {
      await report({ rows_written: input.count, message: "Half of it." });
      await report({ rows_written: 1, rows_failed: 2, message: "All of it." });
      return { attempt, jobId, rows: 4n };
    });
    const runner = await startRunner(database, { definitions: [sum], metrics });
    const queued = await runner.enqueue("sum", {});
    expect(jobContract.parse(queued)).toMatchObject({ name: "sum", input: {}, max_attempts: 3, tenant: null });
    const done = await becomes(runner, queued.id, "succeeded");
    expect(jobContract.parse(done)).toMatchObject({
      id: queued.id,
      result: { attempt: 1, jobId: queued.id, rows: 4 },
      error: null,
      attempts: 1,
      progress: { rows_written: 4, rows_failed: 2, message: "All of it." },
    });
    const runs = await database.sql<object>("select * from store.job_runs where run_id = $1", [done.run_id]);
    expect(runs).toMatchObject([
      {
        tenant_id: null,
        job_name: "sum",
        mode: "maintenance",
        status: "succeeded",
        rows_written: "4",
        rows_failed: "2",
        metadata: { job_id: queued.id, attempt: 1 },
        config_fingerprint: expect.stringMatching(/^[0-9a-f]{16}$/),
      },
    ]);
    expect(await metrics.render()).toMatch(
      /store_job_runs_total\{job_name="sum",provider="",mode="maintenance",status="succeeded"\} 1/,
    );
  });
});

describe("what is asked for", () => {
  it("is refused by its path where the schema does not allow it, and no job is made", async () => {
    const runner = await startRunner(database, { definitions: [jobOf("picky", async () => null)], work: false });
    await expect(runner.enqueue("picky", { count: "many", other: 1 })).rejects.toMatchObject({
      code: "body_invalid",
      details: { errors: [{ path: "count" }, { path: "" }] },
    });
    expect(await runner.list({ name: "picky" })).toEqual([]);
  });

  it("is refused by the job itself where the schema is not enough", async () => {
    const careful = defineJob({
      ...jobOf("careful", async () => null),
      accept: ({ count }) => {
        if (count > 9) throw new StoreError("usage", "No more than 9.");
      },
    });
    const runner = await startRunner(database, { definitions: [careful], work: false });
    await expect(runner.enqueue("careful", { count: 10 })).rejects.toMatchObject({ message: "No more than 9." });
    expect(await runner.enqueue("careful", { count: 9 })).toMatchObject({ state: "queued" });
  });

  it("names the known jobs where there is none of that name", async () => {
    const runner = await startRunner(database, {
      definitions: [jobOf("one", async () => null), jobOf("another", async () => null)],
      work: false,
    });
    await expect(runner.enqueue("third", {})).rejects.toMatchObject({
      code: "job_unknown",
      message: 'There is no job "third"; there are another, one.',
      details: { known: ["another", "one"] },
    });
  });

  it("is one job for one id, however often and however many ask at once", async () => {
    let runs = 0;
    const once = jobOf("once", async () => ++runs);
    const runners = await Promise.all([1, 2].map(() => startRunner(database, { definitions: [once] })));
    const id = randomUUID();
    const asked = await Promise.all(
      Array.from({ length: 100 }, (_, at) => runners[at % 2]!.enqueue("once", { count: at }, { id })),
    );
    expect(new Set(asked.map((job) => job.id))).toEqual(new Set([id]));
    await becomes(runners[0]!, id, "succeeded");
    expect(await runners[0]!.list({ name: "once" })).toHaveLength(1);
    expect(runs).toBe(1);
  });

  it("finds no job that is none", async () => {
    const runner = await startRunner(database, { definitions: [], work: false });
    for (const id of [randomUUID(), "no id"]) {
      for (const verb of ["get", "cancel", "retry"] as const) {
        await expect(runner[verb](id)).rejects.toMatchObject({ code: "job_not_found" });
      }
    }
  });

  it("is a usage error where two jobs have one name, or a name is none", () => {
    const make = (...names: string[]): JobRunner =>
      new JobRunner({
        urls: async () => database,
        definitions: names.map((name) => jobOf(name, async () => null)),
        log: keptLog().log,
      });
    expect(() => make("twice", "twice")).toThrow(/Two jobs have the name "twice"/);
    for (const name of ["", "Upper", "a_b", "a--b", "x".repeat(65)]) expect(() => make(name)).toThrow(/is no name/);
  });

  it("waits for a runner, and is refused while the queue is not open", async () => {
    const wait = jobOf("wait", async () => "done");
    const closed = new JobRunner({ urls: async () => database, definitions: [wait], log: keptLog().log });
    await expect(closed.enqueue("wait", {})).rejects.toMatchObject({ code: "jobs_unavailable", retryable: true });
    await closed.stop({ timeoutMs: 100 });
    const accepting = await startRunner(database, { definitions: [wait], work: false });
    const { id } = await accepting.enqueue("wait", {});
    expect(await accepting.list({ name: "wait", state: "queued" })).toMatchObject([{ id, attempts: 0, run_id: null }]);
    await startRunner(database, { definitions: [wait] });
    expect(await becomes(accepting, id, "succeeded")).toMatchObject({ result: "done" });
  });
});

describe("one runner at a time", () => {
  it("runs one job of a name after the other, also with two runners", async () => {
    let running = 0;
    let most = 0;
    const where: string[] = [];
    const narrow = (runner: string) =>
      jobOf("narrow", async () => {
        most = Math.max(most, ++running);
        where.push(runner);
        await new Promise((resolve) => setImmediate(resolve));
        await database.sql("select pg_sleep(0.02)");
        running--;
      });
    const one = await startRunner(database, { definitions: [narrow("one")] });
    await startRunner(database, { definitions: [narrow("two")] });
    const jobs = await Promise.all(Array.from({ length: 10 }, () => one.enqueue("narrow", {})));
    for (const { id } of jobs) await becomes(one, id, "succeeded");
    expect({ most, runs: where.length }).toEqual({ most: 1, runs: 10 });
  });
});

describe("a job that fails", () => {
  it("is tried again after what may go away, from its checkpoint, and its runs tell each attempt", async () => {
    const seen: unknown[] = [];
    const flaky = jobOf("flaky", async ({ attempt, checkpoint, saveCheckpoint, report }) => {
      seen.push(checkpoint);
      await saveCheckpoint({ at: attempt });
      await report({ rows_written: 10 });
      if (attempt < 3) throw new StoreError("service_unreachable", "The peer is away.");
      return "at last";
    });
    const runner = await startRunner(database, { definitions: [flaky] });
    const { id } = await runner.enqueue("flaky", {});
    const waiting = await becomes(runner, id, "retrying");
    expect(waiting).toMatchObject({
      attempts: 1,
      error: { code: "service_unreachable", message: "The peer is away." },
    });
    const done = await becomes(runner, id, "succeeded", 15_000);
    expect(done).toMatchObject({ attempts: 3, result: "at last", error: null, progress: { rows_written: 30 } });
    expect(seen).toEqual([undefined, { at: 1 }, { at: 2 }]);
    const runs = await database.sql<object>(
      "select status, error, rows_written::int4 as rows from store.job_runs where job_name = 'flaky' order by started_at",
    );
    expect(runs).toEqual([
      { status: "failed", error: "The peer is away.", rows: 10 },
      { status: "failed", error: "The peer is away.", rows: 10 },
      { status: "succeeded", error: null, rows: 10 },
    ]);
  }, 30_000);

  it("fails for good when its attempts are used up, and a retry gives it as many again", async () => {
    let attempts = 0;
    const doomed = jobOf(
      "doomed",
      async () => {
        if (++attempts < 3) throw new StoreError("service_unreachable", "Still away.");
        return "back";
      },
      2,
    );
    const runner = await startRunner(database, { definitions: [doomed] });
    const { id } = await runner.enqueue("doomed", {});
    expect(await becomes(runner, id, "failed", 15_000)).toMatchObject({
      attempts: 2,
      max_attempts: 2,
      error: { code: "service_unreachable", message: "Still away." },
    });
    expect(await runner.retry(id)).toMatchObject({ id, max_attempts: 4 });
    expect(await becomes(runner, id, "succeeded")).toMatchObject({ attempts: 3, result: "back" });
    await expect(runner.retry(id)).rejects.toMatchObject({ code: "job_not_failed" });
  }, 30_000);

  it.each([
    [new StoreError("file_unreadable", "It is no file."), { code: "file_unreadable", message: "It is no file." }],
    [new TypeError("Of postgres://u:hunter2@db"), { code: "internal", message: "Of postgres://u:***@db" }],
  ])("fails at once where another attempt cannot help: %s", async (fault, error) => {
    const hopeless = jobOf("hopeless", async () => {
      throw fault;
    });
    const runner = await startRunner(database, { definitions: [hopeless] });
    const { id } = await runner.enqueue("hopeless", {});
    const failed = await becomes(runner, id, "failed");
    expect(failed).toMatchObject({ attempts: 1, max_attempts: 3, error, completed_at: expect.any(String) });
    const [run] = await database.sql<object>("select status, error from store.job_runs where run_id = $1", [
      failed.run_id,
    ]);
    expect(run).toEqual({ status: "failed", error: error.message });
  });

  it("fails when it saves or answers what is no JSON or too large", async () => {
    const greedy = jobOf("greedy", async ({ saveCheckpoint }) => {
      await expect(saveCheckpoint("x".repeat(1_000_001))).rejects.toMatchObject({ code: "usage" });
      const cycle: { self?: unknown } = {};
      cycle.self = cycle;
      return cycle;
    });
    const runner = await startRunner(database, { definitions: [greedy] });
    const { id } = await runner.enqueue("greedy", {});
    expect(await becomes(runner, id, "failed")).toMatchObject({ error: { code: "usage" } });
  });
});

describe("cancelling", () => {
  it("ends a job that waits, which is then not run, and may be tried again", async () => {
    let runs = 0;
    const late = jobOf("late", async () => ++runs);
    const accepting = await startRunner(database, { definitions: [late], work: false });
    const { id } = await accepting.enqueue("late", {});
    expect(await accepting.cancel(id)).toMatchObject({ state: "cancelled", error: { code: "job_cancelled" } });
    await expect(accepting.cancel(id)).rejects.toMatchObject({ code: "job_finished" });
    const runner = await startRunner(database, { definitions: [late] });
    const other = await runner.enqueue("late", {});
    await becomes(runner, other.id, "succeeded");
    expect({ runs, state: (await runner.get(id)).state }).toEqual({ runs: 1, state: "cancelled" });
    await runner.retry(id);
    expect(await becomes(runner, id, "succeeded")).toMatchObject({ result: 2 });
  });

  it.each(["this", "another"])("tells a job that runs in %s process to stop, and its run says so", async (place) => {
    const reasons: unknown[] = [];
    const long = jobOf(`long-in-${place}`, async ({ signal }) => {
      await untilAborted(signal).catch((reason: unknown) => {
        reasons.push(reason);
        throw reason;
      });
    });
    const runner = await startRunner(database, { definitions: [long] });
    const from = place === "this" ? runner : await startRunner(database, { definitions: [long], work: false });
    const { id } = await from.enqueue(long.name, {});
    const { run_id } = await begins(from, id);
    expect(await from.cancel(id)).toMatchObject({ state: "cancelled" });
    await expect
      .poll(() => database.sql("select status, error from store.job_runs where run_id = $1", [run_id]), {
        timeout: 8_000,
      })
      .toEqual([{ status: "cancelled", error: "The job was cancelled." }]);
    expect(reasons).toMatchObject([{ code: place === "this" ? "job_cancelled" : "job_superseded" }]);
    expect(await from.get(id)).toMatchObject({ state: "cancelled" });
  });
});

describe("stopping", () => {
  it("lets a job save where it is, and the next runner goes on from there without a lost attempt", async () => {
    const long = jobOf(
      "long",
      async ({ signal, saveCheckpoint, checkpoint, attempt }) => {
        if (checkpoint !== undefined) return { checkpoint, attempt };
        await untilAborted(signal).catch(async (reason: unknown) => {
          await saveCheckpoint({ at: 7 });
          throw reason;
        });
        return null;
      },
      1,
    );
    const runner = await startRunner(database, { definitions: [long] });
    const { id } = await runner.enqueue("long", {});
    const { run_id } = await begins(runner, id);
    await runner.stop({ timeoutMs: 5_000 });
    const next = await startRunner(database, { definitions: [long], work: false });
    expect(await next.get(id)).toMatchObject({ state: "retrying", attempts: 1, max_attempts: 2 });
    expect(await database.sql("select status from store.job_runs where run_id = $1", [run_id])).toEqual([
      { status: "cancelled" },
    ]);
    await startRunner(database, { definitions: [long] });
    expect(await becomes(next, id, "succeeded")).toMatchObject({ result: { checkpoint: { at: 7 }, attempt: 2 } });
  });
});
