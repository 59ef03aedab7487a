import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { configFingerprint } from "../../src/index.ts";
import { ageRun } from "../support/runs.ts";
import { startDatabaseProxy } from "../support/tcp-proxy.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const NOWHERE = "00000000-0000-4000-8000-000000000000";
const MINUTE_MS = 60_000;
const job = { job_name: "load", mode: "live" } as const;

let database: TestDatabase;
let a: Store;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.sql("select mds.create_tenant('a', 'a')");
  a = await openStore({ url: database.url, tenant: "a", maxConnections: 8 });
});

afterAll(async () => {
  await a.close();
  await database.drop();
});

/** A job's name that no other test uses. */
let names = 0;
const newName = (): string => `job-${++names}`;

describe("a run", () => {
  it("leaves a row with what is known of it when it begins", async () => {
    const config_fingerprint = configFingerprint({ vendor: "v", days: 3 });
    const started = await a.runs.start({
      job_name: "full",
      mode: "backfill",
      dataset: "bars",
      provider: "v",
      config_fingerprint,
      symbols: ["b", "A", "b", "é"],
      metadata: { note: 'quote " backslash \\ 😀', nested: { list: [1, null] } },
    });
    expect(started).toEqual({
      run_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      job_name: "full",
      dataset: "bars",
      provider: "v",
      mode: "backfill",
      status: "running",
      config_fingerprint,
      rows_written: 0n,
      rows_failed: 0n,
      symbol_count: 3,
      min_ts: null,
      max_ts: null,
      error: null,
      heartbeat_at: started.started_at,
      started_at: expect.any(BigInt),
      completed_at: null,
      elapsed_us: null,
    });
    expect(await a.runs.get(started.run_id)).toEqual({
      ...started,
      symbols: ["A", "b", "é"],
      metadata: { note: 'quote " backslash \\ 😀', nested: { list: [1, null] } },
    });
  });

  it("gathers progress, and ends once with its last", async () => {
    const { run_id } = await a.runs.start({ ...job, symbols: ["A"], metadata: { kept: 1, replaced: 1 } });
    await a.runs.progress(run_id, { rows_written: 10, rows_failed: 1n, min_ts: 2_000_000n, max_ts: 5_000_000n });
    await a.runs.progress(run_id, { symbols: ["B", "A"], metadata: { replaced: 2 } });
    await a.runs.progress(run_id, { min_ts: 3_000_000n });
    const last = { rows_written: 5, max_ts: new Date(9), min_ts: 1_000n, symbols: ["C"], metadata: { more: true } };
    const done = await a.runs.complete(run_id, last);
    expect(done).toMatchObject({
      status: "succeeded",
      rows_written: 15n,
      rows_failed: 1n,
      symbol_count: 3,
      min_ts: 1_000n,
      max_ts: 5_000_000n,
      error: null,
    });
    expect(done.elapsed_us).toBe(done.completed_at! - done.started_at);
    expect(done.heartbeat_at).toBeGreaterThanOrEqual(done.started_at);
    expect(await a.runs.get(run_id)).toMatchObject({
      symbols: ["A", "B", "C"],
      metadata: { kept: 1, replaced: 2, more: true },
    });
  });

  it("widens its window to hold a single time as well", async () => {
    const { run_id } = await a.runs.start(job);
    expect(await a.runs.progress(run_id, { max_ts: 7n })).toMatchObject({ min_ts: 7n, max_ts: 7n });
    expect(await a.runs.progress(run_id, { min_ts: 9n })).toMatchObject({ min_ts: 7n, max_ts: 9n });
  });

  it("fails with its reason, without its secrets, or is cancelled", async () => {
    const [one, other] = [await a.runs.start(job), await a.runs.start(job)];
    const reason = new TypeError("postgres://u:hunter2@db is away\0");
    expect(await a.runs.fail(one.run_id, reason, { rows_failed: 3 })).toMatchObject({
      status: "failed",
      error: "postgres://u:***@db is away\ufffd",
      rows_failed: 3n,
    });
    expect(await a.runs.complete(other.run_id, { status: "cancelled" })).toMatchObject({
      status: "cancelled",
      error: null,
    });
  });

  it("refuses more than a row can hold, and stays as it is", async () => {
    const started = await a.runs.start({ ...job, symbols: Array.from({ length: 100_000 }, (_, at) => `S${at}`) });
    const { run_id } = started;
    for (const progress of [
      { symbols: ["one more"] },
      { rows_written: 1, metadata: { text: "é".repeat(500_000) } },
      { rows_written: 2n ** 63n - 1n, rows_failed: 0 },
    ]) {
      await a.runs.progress(run_id, { rows_written: 1 });
      await expect(a.runs.progress(run_id, progress)).rejects.toMatchObject({ code: "constraint_violated" });
    }
    expect(await a.runs.get(run_id)).toMatchObject({ rows_written: 3n, symbol_count: 100_000, metadata: null });
    expect(await a.runs.progress(run_id, { symbols: ["S7"] })).toMatchObject({ symbol_count: 100_000 });
  });

  it("ends a call whose signal is aborted", async () => {
    const signal = AbortSignal.abort();
    for (const call of [
      a.runs.start(job, { signal }),
      a.runs.heartbeat(NOWHERE, { signal }),
      a.runs.recent({}, { signal }),
      a.runs.prune(1, { signal }),
    ]) {
      await expect(call).rejects.toMatchObject({ code: "aborted" });
    }
  });
});

describe("R40 the ledger", () => {
  it("takes a bare heartbeat", async () => {
    const run = await a.runs.start({ ...job, metadata: { a: 1 } });
    const before = await a.runs.get(run.run_id);
    await a.runs.heartbeat(run.run_id);
    const after = await a.runs.get(run.run_id);
    expect(after.heartbeat_at).toBeGreaterThan(before.heartbeat_at);
    expect(after).toEqual({ ...before, heartbeat_at: after.heartbeat_at });
  });

  it("never changes a finished run", async () => {
    for (const status of ["succeeded", "failed", "cancelled"] as const) {
      const { run_id } = await a.runs.start(job);
      await a.runs.complete(run_id, { status, rows_written: 1 });
      const before = await a.runs.get(run_id);
      for (const call of [
        () => a.runs.complete(run_id),
        () => a.runs.complete(run_id, { status, rows_written: 1 }),
        () => a.runs.fail(run_id, "too late"),
        () => a.runs.progress(run_id, { rows_written: 1 }),
        () => a.runs.heartbeat(run_id),
      ]) {
        await expect(call()).rejects.toMatchObject({ code: "run_finished", status: 409, retryable: false });
      }
      expect(await a.runs.get(run_id)).toEqual(before);
    }
  });

  it("lets one of many win that complete a run at once", async () => {
    const { run_id } = await a.runs.start(job);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, (_, at) => a.runs.complete(run_id, { rows_written: at + 1 })),
    );
    const won = outcomes.filter((one) => one.status === "fulfilled");
    expect(won).toHaveLength(1);
    const others = outcomes.flatMap((one) => (one.status === "rejected" ? [one.reason.code] : []));
    expect(new Set(others)).toEqual(new Set(["run_finished"]));
    expect((await a.runs.get(run_id)).rows_written).toBe(won[0]!.value.rows_written);
  });

  it("looks at a run only when whoever changes it has done so", async () => {
    const { run_id } = await a.runs.start(job);
    const during = async <T>(change: string, call: () => Promise<T>): Promise<PromiseSettledResult<T>> => {
      await database.sql("begin");
      await database.sql(`update store.job_runs set ${change} where run_id = $1`, [run_id]);
      const outcome = Promise.allSettled([call()]);
      const waiting = "select from pg_locks where not granted and pg_backend_pid() = any (pg_blocking_pids(pid))";
      await expect.poll(() => database.sql(waiting)).toHaveLength(1);
      await database.sql("commit");
      return (await outcome)[0];
    };
    expect(
      await during("rows_written = rows_written + 5", () => a.runs.progress(run_id, { rows_written: 2 })),
    ).toMatchObject({ value: { rows_written: 7n } });
    expect(
      await during("status = 'failed', completed_at = now()", () => a.runs.complete(run_id, { rows_written: 1 })),
    ).toMatchObject({ reason: { code: "run_finished" } });
    expect(await a.runs.get(run_id)).toMatchObject({ status: "failed", rows_written: 7n });
  });

  it("says stuck for 15 minutes and means it, by the database's clock", async () => {
    const job_name = newName();
    const quiet = async (minutes: number): Promise<string> => {
      const run = await a.runs.start({ ...job, job_name });
      await ageRun(database, run, minutes);
      return run.run_id;
    };
    const [, fourteen, sixteen, hour] = [await quiet(0), await quiet(14), await quiet(16), await quiet(60)];
    const finished = await a.runs.start({ ...job, job_name });
    await a.runs.complete(finished.run_id);
    await ageRun(database, finished, 60);
    const stuck = async (minutes: number): Promise<string[]> =>
      (await a.runs.stuck(minutes * MINUTE_MS)).filter((run) => run.job_name === job_name).map((run) => run.run_id);
    expect(await stuck(15)).toEqual([hour, sixteen]);
    expect(await stuck(1)).toEqual([hour, sixteen, fourteen]);
    expect(await stuck(61)).toEqual([]);
    await a.runs.heartbeat(hour);
    expect(await stuck(15)).toEqual([sixteen]);
    await a.runs.progress(sixteen, {});
    expect(await stuck(15)).toEqual([]);
    expect(await stuck(1)).toEqual([fourteen]);
  });

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "15" as never])(
    "refuses a timeout of %s",
    async (timeout) => {
      await expect(a.runs.stuck(timeout)).rejects.toMatchObject({ code: "usage" });
    },
  );
});

describe("progress", () => {
  it("adds up whoever says it at the same time", async () => {
    const { run_id } = await a.runs.start(job);
    const other = await openStore({ url: database.url, tenant: "a", maxConnections: 4 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            rows_written: fc.nat(1_000),
            rows_failed: fc.nat(10),
            at: fc.nat(1_000_000).map(BigInt),
            symbols: fc.array(fc.constantFrom("A", "B", "C", "D", "E")),
          }),
          { minLength: 1, maxLength: 30 },
        ),
        async (calls) => {
          const before = await a.runs.get(run_id);
          await Promise.all(
            calls.map(({ at, ...counts }, index) =>
              (index % 2 === 0 ? a : other).runs.progress(run_id, { ...counts, min_ts: at, max_ts: at }),
            ),
          );
          const sum = (field: "rows_written" | "rows_failed"): bigint =>
            calls.reduce((total, call) => total + BigInt(call[field]), before[field]);
          const times = [...calls.map(({ at }) => at), before.min_ts, before.max_ts]
            .filter((one) => one !== null)
            .sort((one, two) => Number(one - two));
          const after = await a.runs.get(run_id);
          expect(after).toMatchObject({
            rows_written: sum("rows_written"),
            rows_failed: sum("rows_failed"),
            min_ts: times.at(0),
            max_ts: times.at(-1),
            symbols: [...new Set([...before.symbols, ...calls.flatMap(({ symbols }) => symbols)])].sort(),
          });
        },
      ),
      { numRuns: 20 },
    );
    await other.close();
  });

  it("is counted once when the answer to it is lost, and so are start and complete", async () => {
    const proxy = await startDatabaseProxy(database.url);
    const store = await openStore({ url: proxy.url, tenant: "a", maxConnections: 1 });
    const job_name = newName();
    proxy.loseAnswerTo("start_run");
    const { run_id } = await store.runs.start({ ...job, job_name });
    proxy.loseAnswerTo("progress_run");
    expect(await store.runs.progress(run_id, { rows_written: 7 })).toMatchObject({ rows_written: 7n });
    proxy.loseAnswerTo("complete_run");
    expect(await store.runs.complete(run_id, { rows_written: 1 })).toMatchObject({
      status: "succeeded",
      rows_written: 8n,
    });
    expect(proxy.lost).toBe(3);
    expect(await a.runs.recent({ job_name })).toHaveLength(1);
    await store.close();
    await proxy.close();
  });

  it("remembers the last 64 calls of a run", async () => {
    const { run_id } = await a.runs.start(job);
    await database.sql("begin");
    await database.sql("select set_config('role', 'mds_app', true), set_config('app.tenant_id', $1, true)", [
      a.tenantId,
    ]);
    const call = (id: number): Promise<unknown> =>
      database.sql("select mds.progress_run($1, rows_written => 1, call_id => lpad($2::text, 32, '0')::uuid)", [
        run_id,
        id,
      ]);
    for (let id = 0; id < 70; id++) await call(id);
    for (let id = 6; id < 70; id++) await call(id);
    await database.sql("commit");
    expect(await a.runs.get(run_id)).toMatchObject({ rows_written: 70n });
    const [row] = await database.sql<{ calls: number }>(
      "select cardinality(recent_calls) as calls from store.job_runs where run_id = $1",
      [run_id],
    );
    expect(row!.calls).toBe(64);
  });
});
