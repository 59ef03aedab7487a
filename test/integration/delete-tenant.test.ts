import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openStore } from "../../src/client/open-store.ts";
import { deleteTenant } from "../../src/database/delete-tenant.ts";
import { openPool } from "../../src/database/pool.ts";
import type { AdminScope } from "../../src/database/tenants.ts";
import { deleteTenantJob } from "../../src/jobs/delete-tenant-job.ts";
import { refreshAggregatesJob } from "../../src/jobs/refresh-aggregates-job.ts";
import { manyBars } from "../support/bars.ts";
import { attemptJob } from "../support/job-context.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let scope: AdminScope;
let made = 0;
let doomed: string;

beforeAll(async () => {
  database = await createTestDatabase();
  const pool = openPool({ url: database.url, applicationName: "test", maxConnections: 2, connectTimeoutMs: 5_000 });
  scope = { pool, timeoutMs: 10_000 };
  await database.sql("select mds.create_tenant('other', 'other')");
  await fill("other");
  await database.sql("create role mds_test_doomed_reader login");
});

beforeEach(async () => {
  doomed = `doomed-${++made}`;
  await database.sql("select mds.create_tenant($1, $1)", [doomed]);
});

afterAll(async () => {
  await scope.pool.end();
  await database.sql("drop role mds_test_doomed_reader");
  await database.drop();
});

/** Rows in every dataset and over several partitions, a run, and more rows of bars than one batch. */
async function fill(tenant: string, bars = 12_000): Promise<void> {
  await using store = await openStore({ url: database.url, tenant });
  await store.bars.upsert(manyBars(bars));
  await store.bars.upsert(manyBars(10, { symbol: "OLD", ts: "2011-05-01T00:00:00Z" }));
  const key = { vendor: "v", symbol: "S" };
  await store.options.upsert([
    { ...key, expiry: "2024-06-21", option_type: "C", strike: "10", ts: "2024-01-02T00:00:00Z", bid: 1 },
  ]);
  await store.fundamentals.upsert([{ ...key, asof: "2024-01-02T00:00:00Z", eps: 1 }]);
  await store.news.upsert([{ vendor: "v", published_at: "2024-01-02T00:00:00Z", title: "t", url: "u" }]);
  await store.signals.upsert([{ ...key, name: "n", ts: "2024-01-02T00:00:00Z", value: 1 }]);
  await store.runs.start({ job_name: "j", mode: "live" });
}

const idOf = async (slug: string): Promise<string> =>
  (await database.sql<{ id: string }>("select id from store.tenants where slug = $1", [slug]))[0]!.id;

/** Rows in each table of the store, by tenant where it has one; of data, by whether its series is there. */
async function contents(): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const dataset of ["bars", "options", "fundamentals", "news", "signals"]) {
    const rows = await database.sql<{ tenant: string; count: string }>(
      `select coalesce(t.slug, 'nobody') as tenant, count(*) from store.${dataset}_data d
       left join store.${dataset}_series s using (series_id) left join store.tenants t on t.id = s.tenant_id group by 1`,
    );
    for (const { tenant, count } of rows) counts[`${dataset} of ${tenant}`] = Number(count);
  }
  const runs = await database.sql<{ tenant: string; count: string }>(
    "select t.slug as tenant, count(*) from store.job_runs r join store.tenants t on t.id = r.tenant_id group by 1",
  );
  for (const { tenant, count } of runs) counts[`runs of ${tenant}`] = Number(count);
  for (const { slug } of await database.sql<{ slug: string }>("select slug from store.tenants")) counts[slug] = 1;
  return counts;
}

describe("deleting a tenant", () => {
  it("takes everything of it, in all tables and partitions, and nothing of others", async () => {
    const before = await contents();
    delete before[doomed];
    await fill(doomed);
    await database.sql("select mds.bind_login('mds_test_doomed_reader', $1)", [doomed]);
    await attemptJob(database, refreshAggregatesJob, {});
    const aggregated = async () => (await database.sql("select from store.bars_5m_data")).length;
    const withBoth = await aggregated();
    const id = await idOf(doomed);
    const deleted = await deleteTenant(scope, doomed);
    expect(deleted).toEqual({ tenant_id: id, slug: doomed, rows: expect.any(Number) });
    expect(deleted.rows).toBeGreaterThan(12_000);
    expect(await contents()).toEqual(before);
    expect(await database.sql("select from store.role_tenants")).toEqual([]);
    expect(await aggregated()).toBe(withBoth / 2);
    expect((await attemptJob(database, refreshAggregatesJob, {})).error).toBeUndefined();
    expect(await aggregated()).toBe(withBoth / 2);
    await expect(deleteTenant(scope, id)).rejects.toMatchObject({ code: "tenant_unknown" });
  });

  it("uses no id again", async () => {
    await fill(doomed, 1);
    const [series] = await database.sql<{ id: number }>("select max(series_id) as id from store.bars_series");
    const id = await idOf(doomed);
    await deleteTenant(scope, doomed);
    await database.sql("select mds.create_tenant($1, $1)", [doomed]);
    await fill(doomed, 1);
    const [again] = await database.sql<{ id: number }>(
      "select min(series_id) as id from store.bars_series where tenant_id = $1",
      [await idOf(doomed)],
    );
    expect(again!.id).toBeGreaterThan(series!.id);
    expect(await idOf(doomed)).not.toBe(id);
  });

  it("finds tables that were made later, by what they hold", async () => {
    await fill(doomed, 1);
    const id = await idOf(doomed);
    await database.sql("set role mds_owner");
    await database.sql("create table store.bars_9m_data (series_id int4, ts timestamptz) partition by range (ts)");
    await database.sql("create table store.bars_9m_data_all partition of store.bars_9m_data default");
    await database.sql("create table store.later (tenant_id uuid references store.tenants (id), what text)");
    await database.sql("reset role");
    await database.sql("insert into store.bars_9m_data select series_id, now() from store.bars_series");
    await database.sql("insert into store.later select id from store.tenants");
    const [before] = await database.sql<{ count: string }>("select count(*) from store.later");
    await deleteTenant(scope, doomed);
    expect(
      await database.sql(
        "select from store.bars_9m_data d left join store.bars_series s using (series_id) where s is null",
      ),
    ).toEqual([]);
    expect((await database.sql("select from store.bars_9m_data")).length).toBeGreaterThan(0);
    expect(await database.sql("select count(*) from store.later")).toEqual([
      { count: String(Number(before!.count) - 1) },
    ]);
    expect(await database.sql("select from store.later where tenant_id = $1", [id])).toEqual([]);
    await database.sql("drop table store.bars_9m_data, store.later");
  });

  it("gives a tenant that is marked no rows and no writes, in open sessions too", async () => {
    await fill(doomed, 1);
    await using store = await openStore({ url: database.url, tenant: doomed });
    let seen: unknown[] | undefined;
    await deleteTenant(scope, doomed, {
      onMarked: async () => {
        seen = [await store.bars.series({}), await store.bars.upsert(manyBars(1)).catch((error: unknown) => error)];
      },
    });
    expect(seen).toEqual([[], expect.objectContaining({ code: "tenant_refused" })]);
    await expect(openStore({ url: database.url, tenant: doomed })).rejects.toMatchObject({ code: "tenant_unknown" });
  });

  it.each(["default", "its id"])("is refused for the one where none is named, by %s", async (name) => {
    const wanted = name === "default" ? name : await idOf("default");
    await expect(deleteTenant(scope, wanted)).rejects.toMatchObject({
      code: "tenant_protected",
      message: expect.stringContaining("rename it first"),
    });
    await expect(openStore({ url: database.url })).resolves.toMatchObject({ close: expect.any(Function) });
  });
});

describe("a transaction that began before", () => {
  /** A session that has passed the check of its tenant and has not written yet. */
  async function early(begin = "begin"): Promise<pg.Client> {
    await fill(doomed, 1);
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query(begin);
    await client.query("select set_config('role', 'mds_app', true), set_config('app.tenant_id', $1, true)", [
      await idOf(doomed),
    ]);
    await client.query("select from mds.bars");
    return client;
  }
  const write = "select mds.ensure_bars_series(array['v'], array['LATE'], array['1m'])";

  it("is waited for, and what it writes goes too", async () => {
    // Repeatable: it goes on to see the tenant as it was when it began.
    const client = await early("begin isolation level repeatable read");
    let waited = 0;
    await deleteTenant(scope, doomed, {
      onProgress: async ({ message }) => {
        if (!message.startsWith("Waiting") || ++waited !== 2) return;
        await client.query(write);
        await client.query("commit");
      },
    });
    await client.end();
    expect(waited).toBeGreaterThanOrEqual(2);
    expect(await database.sql("select from store.bars_series where symbol = 'LATE'")).toEqual([]);
  });

  it("that does not end is named, and the deletion may be asked for again", async () => {
    const client = await early();
    const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
    await expect(deleteTenant(scope, doomed, { patienceMs: 0 })).rejects.toMatchObject({
      code: "tenant_in_use",
      retryable: true,
      message: expect.stringContaining(`of process ${rows[0]!.pid}`),
    });
    expect(await database.sql("select state from store.tenants where slug = $1", [doomed])).toEqual([
      { state: "deleting" },
    ]);
    await client.end();
    await deleteTenant(scope, doomed);
    expect((await contents())[doomed]).toBeUndefined();
  });

  it("may be waited for no longer when the deletion is stopped", async () => {
    const client = await early();
    const stopping = new AbortController();
    const deletion = deleteTenant(scope, doomed, {
      signal: stopping.signal,
      onProgress: async () => stopping.abort(),
    });
    await expect(deletion).rejects.toMatchObject({ name: "AbortError" });
    await client.end();
    await deleteTenant(scope, doomed);
  });
});

describe("the job", () => {
  it("goes on after it was cut off anywhere, and ends as though it had not been", async () => {
    const before = await contents();
    delete before[doomed];
    await fill(doomed);
    let cuts = 0;
    let checkpoint: unknown;
    for (let isDone = false; !isDone; ) {
      let steps = 0;
      const attempt = await attemptJob(
        database,
        deleteTenantJob,
        { tenant: doomed },
        {
          checkpoint,
          onReport: ({ message }) => {
            if (!message!.startsWith("Waiting") && ++steps > 1) throw new Error("killed");
          },
        },
      );
      checkpoint = attempt.checkpoint;
      isDone = attempt.error === undefined;
      if (!isDone) expect(attempt.error).toMatchObject({ message: "killed" });
      cuts++;
    }
    expect(cuts).toBeGreaterThan(4);
    expect(await contents()).toEqual(before);
  });

  it("that is run again when it is done does nothing, also to a tenant that got the slug meanwhile", async () => {
    const id = await idOf(doomed);
    const first = await attemptJob(database, deleteTenantJob, { tenant: doomed });
    expect(first.result).toMatchObject({ tenant_id: id, slug: doomed });
    await database.sql("select mds.create_tenant($1, $1)", [doomed]);
    const again = await attemptJob(database, deleteTenantJob, { tenant: doomed }, { checkpoint: first.checkpoint });
    expect(again.result).toMatchObject({ tenant_id: id, slug: doomed });
    expect((await contents())[doomed]).toBe(1);
  });
});
