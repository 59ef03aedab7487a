import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JobRun } from "../../src/client/job-run.ts";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { Runs } from "../../src/client/runs.ts";
import { openPool, type Pool } from "../../src/database/pool.ts";
import { runByHand } from "../support/session.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const NOWHERE = "00000000-0000-4000-8000-000000000000";
const MINUTE_MS = 60_000;
const job = { job_name: "load", mode: "live" } as const;

let database: TestDatabase;
let pool: Pool;
let a: Store;
let b: Store;
let system: Runs;

beforeAll(async () => {
  database = await createTestDatabase();
  for (const slug of ["a", "b"]) await database.sql("select mds.create_tenant($1, $1)", [slug]);
  pool = openPool({ url: database.url, applicationName: "runs", maxConnections: 2, connectTimeoutMs: 5_000 });
  system = new Runs({ pool, role: "mds_admin", timeoutMs: 10_000 });
  a = await openStore({ url: database.url, tenant: "a" });
  b = await openStore({ url: database.url, tenant: "b" });
});

afterAll(async () => {
  await Promise.all([a.close(), b.close(), pool.end()]);
  await database.drop();
});

/** A statement of the service's login; its rows, or its SQLSTATE. */
const byHand = (tenant: string, statement: string, role?: "mds_app" | "mds_admin" | "none") =>
  runByHand(database, tenant, statement, role);

describe("R3 the ledgers of tenants and of the system", () => {
  const READS = [
    "select run_id from mds.recent_runs()",
    "select run_id from mds.stuck_runs(interval '-1 hour')",
    "select runs from mds.summarize_runs(24)",
    "select nullif(mds.count_prunable_runs(1), 0) as count",
  ];
  const WRITES = [
    "select mds.start_run(gen_random_uuid(), 'x', 'live')",
    `select mds.progress_run('${NOWHERE}')`,
    `select mds.heartbeat_run('${NOWHERE}')`,
    `select mds.complete_run('${NOWHERE}', 'succeeded')`,
    "select mds.prune_runs(1, 1)",
  ];

  it("never meet", async () => {
    const ledgers = { a: a.runs, b: b.runs, system };
    const job_name = "apart";
    const runs: Record<string, JobRun> = {};
    for (const [name, ledger] of Object.entries(ledgers)) {
      runs[name] = await ledger.start({ ...job, job_name });
      await database.sql(
        "update store.job_runs set heartbeat_at = heartbeat_at - interval '1 hour' where run_id = $1",
        [runs[name].run_id],
      );
    }
    for (const [name, ledger] of Object.entries(ledgers)) {
      const { run_id } = runs[name]!;
      const own = [run_id];
      expect((await ledger.recent({ job_name })).map((run) => run.run_id)).toEqual(own);
      const stuck = (await ledger.stuck(MINUTE_MS)).filter((run) => run.job_name === job_name);
      expect(stuck.map((run) => run.run_id)).toEqual(own);
      expect((await ledger.summary(1)).find((row) => row.job_name === job_name)?.runs).toBe(1n);
      await ledger.progress(run_id, { rows_written: 1 });
      await ledger.complete(run_id);
      await database.sql("update store.job_runs set completed_at = now() - interval '2 days' where run_id = $1", [
        run_id,
      ]);
      expect(await ledger.prune(1)).toBe(1n);
    }
  });

  it("answer for a foreign run as for one that does not exist, and leave it alone", async () => {
    const foreign = [await b.runs.start(job), await system.start(job)];
    const finished = await b.runs.start(job);
    await b.runs.complete(finished.run_id);
    const calls = [
      (id: string) => a.runs.get(id),
      (id: string) => a.runs.progress(id, { rows_written: 1 }),
      (id: string) => a.runs.heartbeat(id),
      (id: string) => a.runs.complete(id, { rows_written: 1 }),
      (id: string) => a.runs.fail(id, "made up"),
    ];
    const told = async (call: (id: string) => Promise<unknown>, id: string): Promise<string> => {
      const error = await call(id).then(
        () => "no error",
        ({ code, message, details }) => JSON.stringify({ code, message, details }),
      );
      return error.replaceAll(id, "ID");
    };
    for (const call of calls) {
      const unknown = await told(call, NOWHERE);
      expect(unknown).toContain('"run_unknown"');
      for (const { run_id } of [...foreign, finished]) expect(await told(call, run_id)).toBe(unknown);
    }
    expect(await b.runs.get(foreign[0]!.run_id)).toMatchObject(foreign[0]!);
    expect(await system.get(foreign[1]!.run_id)).toMatchObject(foreign[1]!);
  });

  it("take the same id in each without telling of the other", async () => {
    const { run_id } = await b.runs.start({ ...job, job_name: "secret-b" });
    const rows = await byHand(a.tenantId, `select run_id, job_name from mds.start_run('${run_id}', 'mine', 'live')`);
    expect(rows).toEqual([{ run_id, job_name: "mine" }]);
    expect(await a.runs.get(run_id)).toMatchObject({ job_name: "mine" });
    expect(await b.runs.get(run_id)).toMatchObject({ job_name: "secret-b" });
  });

  for (const [who, tenant, role] of [
    ["the application without a tenant", "", "mds_app"],
    ["the application with a malformed tenant", "x' or true --", "mds_app"],
    ["the application with an unknown tenant", NOWHERE, "mds_app"],
    ["the application with the system's mark for a tenant", "00000000-0000-0000-0000-000000000000", "mds_app"],
    ["the service's login without a role or tenant", "", "none"],
  ] as const) {
    it.each(READS)(`${who} reads nothing: %s`, async (statement) => {
      const rows = await byHand(tenant, statement, role);
      expect((rows as object[]).filter((row) => Object.values(row).some((value) => value !== null))).toEqual([]);
    });
    it.each(WRITES)(`${who} writes nothing: %s`, async (statement) => {
      expect(await byHand(tenant, statement, role)).toBe("42501");
    });
  }

  it("an administrator has the system's ledger, whatever tenant is set", async () => {
    const rows = await byHand(
      a.tenantId,
      "select tenant_id from mds.start_run(gen_random_uuid(), 'sys', 'live')",
      "mds_admin",
    );
    expect(rows).toEqual([{ tenant_id: null }]);
    expect(await byHand(a.tenantId, "select distinct tenant_id from mds.recent_runs()", "mds_admin")).toEqual([
      { tenant_id: null },
    ]);
  });

  it("a bound reader sees its tenant's and writes nothing", async () => {
    const login = "mds_test_runs_reader";
    await database.sql(`do $$ begin create role ${login}; exception when duplicate_object then null; end $$`);
    await database.sql(`alter role ${login} login password '${login}'`);
    await database.sql(`grant mds_reader to ${login}`);
    await database.sql("select mds.bind_login($1, $2)", [login, a.tenantId]);
    const client = new pg.Client({ connectionString: database.url.replace(/\/\/[^@]*@/, `//${login}:${login}@`) });
    await client.connect();
    await client.query("select set_config('app.tenant_id', $1, false)", [b.tenantId]);
    const { rows } = await client.query("select distinct tenant_id from mds.recent_runs()");
    expect(rows).toEqual([{ tenant_id: a.tenantId }]);
    for (const statement of [
      ...WRITES,
      "select from mds.job_runs_summary",
      "select from store.job_runs",
      "set role mds_admin",
    ]) {
      await expect(client.query(statement)).rejects.toMatchObject({ code: "42501" });
    }
    await client.end();
    await database.sql("delete from store.role_tenants");
  });

  it("are summed up for administrators only", async () => {
    const job_name = "summed";
    for (const ledger of [a.runs, b.runs, system]) await ledger.start({ ...job, job_name });
    const statement = `select tenant, running from mds.job_runs_summary where job_name = '${job_name}' order by tenant`;
    expect(await byHand("", statement, "mds_admin")).toEqual([
      { tenant: "a", running: "1" },
      { tenant: "b", running: "1" },
      { tenant: null, running: "1" },
    ]);
    expect(await byHand(a.tenantId, statement)).toBe("42501");
  });

  it("are tables and functions that nobody else touches", async () => {
    for (const role of ["mds_app", "mds_admin", "mds_reader"]) {
      await database.sql(`set role ${role}`);
      for (const statement of [
        "select from store.job_runs",
        "delete from store.job_runs",
        `select store.advance_run('${NOWHERE}', null, 'failed', null, 0, 0, null, null, null, null)`,
      ]) {
        await expect(database.sql(statement)).rejects.toMatchObject({ code: "42501" });
      }
      await database.sql("reset role");
    }
    expect(await byHand(a.tenantId, "select from store.job_runs", "none")).toBe("42501");
  });
});

describe("the database's own checks", () => {
  it.each([
    ["23514", "select mds.start_run(gen_random_uuid(), '', 'live')"],
    ["23514", "select mds.start_run(gen_random_uuid(), 'x', 'often')"],
    ["23514", "select mds.start_run(gen_random_uuid(), 'x', 'live', symbols => array['a', null])"],
    ["23514", "select mds.start_run(gen_random_uuid(), 'x', 'live', metadata => '[1]')"],
    ["23514", "select mds.complete_run(RUN, 'done')"],
    ["23514", "select mds.complete_run(RUN, 'succeeded', 'but it failed')"],
    ["22023", "select mds.complete_run(RUN, 'running')"],
    ["22023", "select mds.complete_run(RUN, null)"],
    ["22023", "select mds.progress_run(RUN, -1)"],
    ["22023", "select mds.progress_run(RUN, 0, -1)"],
    ["23514", "select mds.progress_run(RUN, min_ts => '-infinity')"],
    ["23514", "select mds.progress_run(RUN, max_ts => 'infinity')"],
  ])("refuse with %s: %s", async (sqlstate, statement) => {
    const run = await a.runs.start(job);
    expect(await byHand(a.tenantId, statement.replace("RUN", `'${run.run_id}'`))).toBe(sqlstate);
    expect(await a.runs.get(run.run_id)).toMatchObject(run);
  });

  it("take a run from other languages with as little as they know", async () => {
    const [{ run_id }] = (await byHand(
      a.tenantId,
      "select run_id from mds.start_run(gen_random_uuid(), 'sql', 'maintenance')",
    )) as [{ run_id: string }];
    await byHand(a.tenantId, `select mds.progress_run('${run_id}', 5)`);
    await byHand(a.tenantId, `select mds.complete_run('${run_id}', 'succeeded')`);
    expect(await a.runs.get(run_id)).toMatchObject({ status: "succeeded", rows_written: 5n });
  });
});
