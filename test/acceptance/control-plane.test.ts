/** Maintenance over HTTP, as an orchestrator asks for it: each route followed to what it changed in the database. */
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import type { Job } from "../../src/contracts/job.ts";
import { readMigrations } from "../../src/database/migration-files.ts";
import { migrateDown } from "../../src/database/migrator.ts";
import { allWrongBuckets, barAt, bucket, NONE_WRONG } from "../support/aggregates.ts";
import { collect } from "../support/bars.ts";
import { type ControlPlane, startControlPlane } from "../support/control-plane.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;
const engine = inject("engine");

let database: TestDatabase;
let plane: ControlPlane;
let store: Store;

beforeAll(async () => {
  database = await createTestDatabase();
  [plane, store] = await Promise.all([startControlPlane(database), openStore({ url: database.url })]);
});

afterAll(async () => {
  await Promise.all([plane.stop(), store.close()]);
  await database.drop();
});

/** The job's end, when it has succeeded. */
async function succeeds({ job_id }: { readonly job_id: string }, at = plane): Promise<Job> {
  const job = await at.control.waitForJob(job_id, { timeoutMs: 30_000 });
  expect(job).toMatchObject({ state: "succeeded", error: null });
  return job;
}

/** What the ledger keeps of the job's run. */
async function runOf({ run_id }: Job): Promise<object> {
  const columns = "status, metadata, rows_written::int4 as rows_written, min_ts, max_ts";
  const [run] = await database.sql<object>(`select ${columns} from store.job_runs where run_id = $1`, [run_id]);
  return run!;
}

describe("POST /migrate", () => {
  it("R32 applies what is pending; /schema/version reads it from the database, before and after", async () => {
    const old = await createTestDatabase();
    onTestFinished(() => old.drop());
    const newest = (await readMigrations()).at(-1)!.version;
    // The job queue and the keys of requests are there from version 12 on.
    const undone = await migrateDown({ adminUrl: old.adminUrl }, { to: 12 });
    const service = await startControlPlane(old, { MDS_MIGRATE_ON_START: "false" });
    onTestFinished(() => service.stop());
    expect(await service.control.schemaVersion()).toMatchObject({ version: 12, pending: newest - 12, engine });
    expect(await service.control.ready()).toBe(false);

    const answer = await service.send("POST", "/migrate", { key: "upgrade" });
    const accepted = (await answer.json()) as { job_id: string; location: string };
    expect([answer.status, answer.headers.get("location")]).toEqual([202, accepted.location]);
    const { result } = await succeeds(accepted, service);
    const names = undone.map(({ version, name }) => ({ version, name })).reverse();
    expect(result).toEqual({ applied: names });
    const versions = await old.sql("select version, name from store.schema_migrations where version > 12 order by 1");
    expect(versions).toEqual(names);
    const [applied] = await old.sql<{ at: Date }>(
      "select max(applied_at) as at from store.schema_migrations where version = $1",
      [newest],
    );
    const version = await service.control.schemaVersion();
    expect(version).toMatchObject({ version: newest, pending: 0, checksum_ok: true });
    expect(new Date(version.applied_at!)).toEqual(applied!.at);
    await expect.poll(() => service.control.ready(), { timeout: 10_000 }).toBe(true);
    await expect
      .poll(() => service.metric("migrations_applied_total "), { timeout: 5_000 })
      .toEqual([`migrations_applied_total ${names.length}`]);
  });

  it("does nothing where nothing is pending, and a change made by hand shows at once", async () => {
    expect((await succeeds(await plane.control.migrate())).result).toEqual({ applied: [] });
    const { version } = await plane.control.schemaVersion();
    await database.sql("update store.schema_migrations set checksum = checksum || 'x' where version = $1", [version]);
    expect(await plane.control.schemaVersion()).toMatchObject({ version, checksum_ok: false });
    const refused = await plane.control.waitForJob((await plane.control.migrate()).job_id);
    expect(refused).toMatchObject({ state: "failed", error: { code: "migration_altered" }, attempts: 1 });
    await database.sql("update store.schema_migrations set checksum = rtrim(checksum, 'x') where version = $1", [
      version,
    ]);
    expect(await plane.control.schemaVersion()).toMatchObject({ version, checksum_ok: true });
  });
});

describe("POST /retention/apply", () => {
  const times = async (): Promise<string[]> =>
    (
      await database.sql<{ ts: string }>(
        "select to_char(ts at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') as ts from store.bars_data order by ts",
      )
    ).map(({ ts }) => ts);

  it("R6 drops what is older than the policy's 90 days, whole partitions at a time, and not a row that is younger", async () => {
    const now = Date.now();
    const edge = new Date(now - 90 * DAY_MS);
    // Of a month, or of a chunk of seven days.
    const boundary =
      engine === "plain"
        ? Date.UTC(edge.getUTCFullYear(), edge.getUTCMonth(), 1)
        : Math.floor(edge.getTime() / WEEK_MS) * WEEK_MS;
    const at = (ms: number): string => new Date(ms).toISOString();
    const gone = [boundary - 60_000, boundary - 40 * DAY_MS, now - 400 * DAY_MS];
    const stays = [boundary, now - 89 * DAY_MS, now - 31 * DAY_MS, now - 2 * DAY_MS, now - DAY_MS];
    await store.bars.upsert([...gone, ...stays].map((ms) => barAt(at(ms))));
    const before = await times();
    expect(before).toHaveLength(8);

    expect(await plane.control.applyPolicies({ bars: { keep_for: "90 days" } })).toEqual([
      { dataset: "bars", field: "keep_for", before: null, after: "90 days" },
    ]);
    const dry = await plane.control.applyRetention({ datasets: ["bars"], dry_run: true });
    expect(dry.jobs.map(({ name }) => name)).toEqual(["retention", "compression"]);
    const announced = await succeeds(dry);
    expect(await times()).toEqual(before);

    const real = await plane.control.applyRetention({ datasets: ["bars"] });
    const dropped = await succeeds(real);
    await succeeds(real.jobs[1]!);
    expect(await times()).toEqual(before.slice(3));
    expect((await times())[0]).toBe(at(boundary).replace("T", " ").replace("Z", "000"));

    // What was announced is what was dropped, and the ledger keeps it with its rows and span.
    type Plan = { plan: { partitions: object[] }; dropped: object[]; rows_dropped: number };
    const [planned, result] = [announced.result as Plan, dropped.result as Plan];
    expect(planned.plan.partitions).toHaveLength(3);
    expect(planned).toMatchObject({ dry_run: true, dropped: [], rows_dropped: 0 });
    expect(result).toMatchObject({ rows_dropped: 3, dropped: planned.plan.partitions });
    expect(await runOf(dropped)).toMatchObject({
      status: "succeeded",
      metadata: { rows_dropped: 3, dropped: result.dropped },
      min_ts: new Date(gone[2]!),
      max_ts: new Date(gone[0]!),
    });
    const kept = await database.sql(
      "select partition_name as partition, row_count::int4 as rows, first_time, last_time from store.retired_partitions order by first_time",
    );
    expect(kept.map((one) => [one["partition"], one["rows"], (one["first_time"] as Date).getTime()])).toEqual(
      (result.dropped as { partition: string; rows: number; first_time: string }[]).map((one) => [
        one.partition,
        one.rows,
        Date.parse(one.first_time),
      ]),
    );
    expect((await succeeds(await plane.control.applyRetention())).result).toMatchObject({ rows_dropped: 0 });
  });

  it("keeps everything where the policy keeps everything, and refuses a dataset that is none", async () => {
    await plane.control.applyPolicies({ bars: { keep_for: null } });
    await store.bars.upsert([barAt("2001-02-03T00:00:00Z")]);
    const before = await times();
    expect((await succeeds(await plane.control.applyRetention())).result).toMatchObject({ dropped: [] });
    expect(await times()).toEqual(before);
    await database.sql("delete from store.bars_data where ts < '2002-01-01Z'");
    const { job_id } = await plane.control.applyRetention({ datasets: ["stocks"] });
    expect(await plane.control.waitForJob(job_id)).toMatchObject({
      state: "failed",
      error: { code: "policy_refused", message: expect.stringContaining('"stocks"') },
    });
  });
});

describe("PUT /policies", () => {
  it("is what the database then goes by, and what the command shows", async () => {
    const [before, after] = engine === "plain" ? ["year", "month"] : ["30 days", "60 days"];
    const wanted = { signals: { partition_width: after, keep_for: "2 years" } };
    expect(await plane.control.applyPolicies(wanted, { dryRun: true })).toHaveLength(2);
    const stored = () =>
      database.sql("select partition_width, keep_for::text from store.policies where dataset = 'signals'");
    expect(await stored()).toEqual([{ partition_width: before, keep_for: null }]);
    expect(await plane.control.applyPolicies(wanted)).toHaveLength(2);
    expect(await stored()).toEqual([{ partition_width: after, keep_for: "2 years" }]);
    expect(await plane.control.applyPolicies(wanted)).toEqual([]);
    await store.signals.upsert([{ vendor: "v", symbol: "S", name: "n", ts: "2024-05-06T00:00:00Z", value: 1 }]);
    const days = "select (range_end - range_start)::text as width from store.partitions('signals')";
    expect(await database.sql(days)).toEqual([{ width: engine === "plain" ? "31 days" : "60 days" }]);
    await expect(plane.control.applyPolicies({ bars: { keep_for: "5 days" } })).rejects.toMatchObject({
      code: "policy_refused",
    });
  });
});

describe("POST /refresh/aggregate", () => {
  const refresh = async (input = {}): Promise<Job> => succeeds(await plane.control.refreshAggregates(input));
  /** Yesterday: what an earlier test's retention has dropped is not worked out again. */
  const day = new Date(Date.now() - DAY_MS).toISOString().slice(0, 10);
  const at = (minute: number): string => `${day}T10:${String(minute).padStart(2, "0")}:00Z`;

  it("R32 brings buckets up to date with late, corrected and deleted rows, and 5m is answered from them", async () => {
    await store.bars.upsert([0, 1, 2, 7].map((minute) => barAt(at(minute), { open_price: 10 + minute, volume: 100 })));
    await refresh({ dataset: "bars" });
    expect(await bucket(database, "5m", at(0))).toMatchObject({ open_price: 10, high_price: 17, volume: 300 });

    await store.bars.upsert([barAt(at(3), { open_price: 40, volume: 1_000 })]); // late
    await store.bars.upsert([barAt(at(1), { open_price: 11, volume: 500 })]); // corrected
    await database.sql("delete from store.bars_data where ts = $1", [at(7)]); // deleted
    await refresh();
    expect(await bucket(database, "5m", at(0))).toMatchObject({
      open_price: 10,
      high_price: 45,
      low_price: 5,
      close_price: 41,
      volume: 1_700,
    });
    expect(await bucket(database, "5m", at(5))).toBeUndefined();
    expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);

    const sources: unknown[] = [];
    const read = store.bars.read(
      { symbol: "AAA", timeframe: "5m", start: at(0), end: `${day}T11:00:00Z` },
      { onSeries: (series) => sources.push(...series.map(({ timeframe, source }) => [timeframe, source])) },
    );
    expect(await collect(read)).toMatchObject([{ timeframe: "5m", volume: 1_700, close_price: 41 }]);
    expect(sources).toEqual([["5m", "aggregated"]]);
  });

  it("works a named range out anew, also where nothing says that it changed", async () => {
    await store.bars.upsert([barAt(at(0))]);
    await refresh();
    await database.sql("delete from store.bars_5m_data");
    await refresh({ start: `${day}T00:00:00Z`, end: `${day}T23:59:59Z` });
    expect(await bucket(database, "5m", at(0))).toBeDefined();
    expect((await database.sql("select from store.bars_dirty")).length).toBe(0);
  });

  it("counts its runs by name and outcome", async () => {
    await refresh();
    const [line] = await plane.metric(
      'store_job_runs_total{job_name="refresh-aggregates",provider="",mode="maintenance",status="succeeded"}',
    );
    expect(Number(line!.split(" ").at(-1))).toBeGreaterThan(0);
    expect(await plane.metric('store_job_runs_duration_seconds_count{job_name="retention"')).not.toEqual([]);
    expect(
      await plane.metric('http_requests_total{method="POST",endpoint="/refresh/aggregate",status="202"}'),
    ).toHaveLength(1);
  });
});
