/** Backfills over HTTP, cancelling and trying again: each followed to the rows, buckets and runs that it leaves. */
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import type { Job } from "../../src/contracts/job.ts";
import { allWrongBuckets, NONE_WRONG, refresh } from "../support/aggregates.ts";
import { barsCsv, collect, manyBars } from "../support/bars.ts";
import { type ControlPlane, startControlPlane } from "../support/control-plane.ts";
import { mds, scratchFolder } from "../support/mds-command.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;
let inside: string;
let outside: string;
let plane: ControlPlane;
let tenants = 0;
/** Of the test, with its store. */
let tenant: string;
let store: Store;

beforeAll(async () => {
  [database, scratch] = await Promise.all([createTestDatabase(), scratchFolder()]);
  [inside, outside] = [join(scratch.path, "inside"), join(scratch.path, "outside")];
  await Promise.all([mkdir(inside), mkdir(outside)]);
  plane = await startControlPlane(database, { MDS_BACKFILL_DIRS: inside, MDS_BACKFILL_HOSTS: "archive.example" });
});

beforeEach(async () => {
  tenant = `t${++tenants}`;
  await plane.control.createTenant({ slug: tenant });
  store = await openStore({ url: database.url, tenant });
  const opened = store;
  onTestFinished(() => opened.close());
});

afterAll(async () => {
  await plane.stop();
  await Promise.all([database.drop(), scratch.remove()]);
});

const file = async (name: string, content: string): Promise<string> => {
  await writeFile(join(inside, name), content);
  return join(inside, name);
};
const stored = async (symbol = "AAA") => (await collect(store.bars.read({ symbol, timeframe: "1m" }))).length;
const ends = ({ job_id }: { readonly job_id: string }): Promise<Job> =>
  plane.control.waitForJob(job_id, { timeoutMs: 30_000 });
const ingest = (...files: string[]) => plane.control.backfill("ingest-files", { tenant, dataset: "bars", files });

/** A transaction of somebody else, which nobody can write bars beside. */
async function holdBars(): Promise<{ release(): Promise<void> }> {
  const client = new pg.Client({ connectionString: database.adminUrl });
  await client.connect();
  onTestFinished(() => client.end());
  await client.query("begin");
  await client.query("lock table store.bars_data in share mode");
  return { release: async () => void (await client.query("rollback")) };
}

/** Until a job's session waits for somebody's lock. */
async function untilHeldUp(): Promise<void> {
  const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
    and application_name like 'mds job%'`;
  await expect.poll(() => database.sql(waiting), { timeout: 20_000 }).not.toEqual([]);
}

describe("POST /backfill/ingest-files", () => {
  it("R32 stores the rows of all files that match, reports what it rejected, and leaves both in the ledger", async () => {
    await file("2024-1.csv", barsCsv(0, 100));
    await file("2024-2.csv", `${barsCsv(100, 50)}test,AAA,1m,2024-01-02T20:00:00Z,1,0,1,1,-5\nnonsense\n`);
    const job = await ends(await ingest(join(inside, "2024-*.csv")));
    expect(job).toMatchObject({
      state: "succeeded",
      progress: { rows_written: 150, rows_failed: 2 },
      result: {
        files: { total: 2, read: 2, failed: 0 },
        rows: { inserted: 150, rejected: 2 },
        rejects: expect.arrayContaining([
          expect.objectContaining({ file: join(inside, "2024-2.csv"), line: 52, code: "number_out_of_range" }),
          expect.objectContaining({ line: 53, code: "csv_invalid" }),
        ]),
      },
    });
    expect(await stored()).toBe(150);
    const runs = await store.runs.recent();
    expect(runs).toMatchObject([
      { job_name: "ingest-files", dataset: "bars", mode: "backfill", status: "succeeded", rows_written: 150n },
    ]);
    const again = await ends(await ingest(join(inside, "2024-*.csv")));
    expect(again.result).toMatchObject({ rows: { inserted: 0, updated: 0, unchanged: 150 } });
    const counter = 'store_job_runs_total{job_name="ingest-files",provider="",mode="backfill",status="succeeded"}';
    expect(await plane.metric(counter)).toEqual([`${counter} 2`]);
  });

  it("refuses what the operator did not allow, before anything is queued", async () => {
    await writeFile(join(outside, "secret.csv"), barsCsv(0, 10));
    const jobs = (await plane.control.jobs()).length;
    for (const name of [
      join(outside, "secret.csv"),
      join(inside, "../outside/secret.csv"),
      "inside/bars.csv",
      "/etc/passwd",
      "/proc/self/environ",
      "https://elsewhere.example/bars.csv",
      "https://archive.example:8443/bars.csv",
      "https://user:hunter2@archive.example/bars.csv",
      "ftp://archive.example/bars.csv",
      "file:///etc/passwd",
    ]) {
      const error: unknown = await ingest(name).catch((fault: unknown) => fault);
      expect(error, name).toMatchObject({ code: "backfill_refused", status: 403 });
      expect((error as Error).message).not.toContain("hunter2");
    }
    expect(await plane.control.jobs()).toHaveLength(jobs);
    expect(await stored()).toBe(0);
  });

  it("takes from the command what the service may read, whatever the command's own settings say", async () => {
    const input = JSON.stringify({ tenant, dataset: "bars", files: [await file("asked.csv", barsCsv(0, 10))] });
    const env = { MDS_DSN: database.url, ADMIN_DATABASE_URL: database.adminUrl };
    const ask = (text: string) =>
      mds(["jobs", "enqueue", "ingest-files", "--input", text, "--wait", "--json"], { env });
    expect(await ask(input)).toMatchObject({ code: 0, stderr: "" });
    expect(await stored()).toBe(10);
    const refused = await ask(input.replace(inside, outside));
    expect(refused.code).toBe(1);
    expect(JSON.parse(refused.stdout)).toMatchObject({ state: "failed", error: { code: "backfill_refused" } });
  });

  it("reads nothing through a link that leads out, and says so", async () => {
    await writeFile(join(outside, "secret.csv"), barsCsv(0, 10));
    await symlink(join(outside, "secret.csv"), join(inside, "link.csv"));
    await symlink(outside, join(inside, "folder"));
    for (const name of ["link.csv", "folder/secret.csv"]) {
      expect(await ends(await ingest(join(inside, name)))).toMatchObject({
        state: "failed",
        attempts: 1,
        error: { code: "backfill_incomplete", message: expect.stringContaining("backfill_refused") },
      });
    }
    const pattern = await ends(await ingest(join(inside, "fol*/*.csv")));
    expect(pattern.state).toBe("failed");
    expect(await stored()).toBe(0);
  });

  it.each([
    [{ dataset: "bars" }, "files"],
    [{ dataset: "bars", files: [] }, "files"],
    [{ dataset: "bars", files: ["/x"], force: true }, "force"],
  ])("refuses %j with the field", async (body, field) => {
    const answer = await plane.send("POST", "/backfill/ingest-files", { body });
    expect([answer.status, JSON.stringify(await answer.json())]).toEqual([422, expect.stringContaining(field)]);
  });
});

describe("POST /backfill/rebuild-aggregates", () => {
  it("R32 makes buckets right that are wrong in a way nobody noticed", async () => {
    await store.bars.upsert(manyBars(500));
    await refresh(database);
    await database.sql("update store.bars_5m_data set volume = 1");
    await database.sql("delete from store.bars_1h_data");
    expect(await allWrongBuckets(database)).not.toEqual(NONE_WRONG);
    const job = await ends(await plane.control.backfill("rebuild-aggregates", { start: "2024-01-01T00:00:00Z" }));
    expect(job).toMatchObject({ state: "succeeded", error: null });
    expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
  });
});

describe("POST /backfill/verify-coverage", () => {
  it("R32 reports exactly the gaps, and changes nothing", async () => {
    await store.bars.upsert(manyBars(60));
    const gap = "delete from store.bars_data where ts >= '2024-01-02T14:40:00Z' and ts < '2024-01-02T14:45:00Z'";
    await database.sql(gap);
    const before = await stored();
    const job = await ends(
      await plane.control.backfill("verify-coverage", {
        ...{ tenant, vendor: "test", symbols: ["AAA", "GONE"], timeframe: "1m" },
        ...{ start: "2024-01-02T14:30:00Z", end: "2024-01-02T15:30:00Z" },
      }),
    );
    expect(job).toMatchObject({
      state: "succeeded",
      result: {
        summary: { series: 2, expected: 120, present: 55, missing: 65, unexpected: 0 },
        incomplete: [
          {
            ...{ symbol: "AAA", expected: 60, present: 55, missing: 5 },
            gaps: [{ start: "2024-01-02T14:40:00Z", end: "2024-01-02T14:45:00Z", bars: 5 }],
            ranges: [{ bars: 10 }, { start: "2024-01-02T14:45:00Z", end: "2024-01-02T15:30:00Z", bars: 45 }],
          },
          { symbol: "GONE", expected: 60, present: 0, missing: 60 },
        ],
      },
    });
    expect(await stored()).toBe(before);
  });
});

describe("POST /jobs/{id}/cancel and /retry", () => {
  it("stops a job that runs, which then writes no more, and goes on with it later", async () => {
    const path = await file("cancelled.csv", barsCsv(0, 50_000));
    const held = await holdBars();
    const { job_id } = await ingest(path);
    await untilHeldUp();
    expect(await plane.control.cancelJob(job_id)).toMatchObject({ id: job_id, state: "cancelled" });
    await held.release();
    await expect
      .poll(async () => (await store.runs.recent()).map(({ status }) => status), { timeout: 10_000 })
      .toEqual(["cancelled"]);
    // Of what was under way at that moment some may have been stored.
    const written = await stored();
    expect(written).toBeLessThan(50_000);
    expect(await plane.control.job(job_id)).toMatchObject({ state: "cancelled", error: { code: "job_cancelled" } });
    await expect(plane.control.cancelJob(job_id)).rejects.toMatchObject({ code: "job_finished", status: 409 });

    expect((await plane.control.retryJob(job_id)).id).toBe(job_id);
    expect(await ends({ job_id })).toMatchObject({ state: "succeeded", attempts: 2 });
    expect(await stored()).toBe(50_000);
    await expect(plane.control.retryJob(job_id)).rejects.toMatchObject({ code: "job_not_failed" });
  });

  it("cancels one that waits before it has done anything", async () => {
    const held = await holdBars();
    const first = await ingest(await file("first.csv", barsCsv(0, 10)));
    await untilHeldUp();
    const second = await ingest(await file("second.csv", barsCsv(0, 10, "BBB")));
    expect(await plane.control.job(second.job_id)).toMatchObject({ state: "queued" });
    expect(await plane.control.cancelJob(second.job_id)).toMatchObject({ state: "cancelled", attempts: 0 });
    await held.release();
    expect(await ends(first)).toMatchObject({ state: "succeeded" });
    expect([await stored(), await stored("BBB")]).toEqual([10, 0]);
  });

  it("tries one again that failed, when what it lacked is there", async () => {
    const path = join(inside, "late.csv");
    const accepted = await ingest(path, await file("early.csv", barsCsv(0, 10)));
    const failed = await ends(accepted);
    expect(failed).toMatchObject({
      state: "failed",
      error: { message: expect.stringMatching(/^1 of 2 files could not be read/) },
    });
    expect(await stored()).toBe(10);
    await file("late.csv", barsCsv(10, 5));
    await plane.control.retryJob(accepted.job_id);
    expect(await ends(accepted)).toMatchObject({ state: "succeeded", result: { rows: { inserted: 15 } } });
    expect(await stored()).toBe(15);
  });
});
