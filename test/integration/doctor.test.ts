import pg from "pg";
import { beforeEach, describe, expect, inject, it } from "vitest";
import { versionFindings } from "../../src/database/doctor/check-server.ts";
import { type Diagnosis, diagnose } from "../../src/database/doctor/diagnose.ts";
import type { DoctorOptions } from "../../src/database/doctor/finding.ts";
import { migrateDown } from "../../src/database/migrator.ts";
import { findPgBouncer, INSTALL_PGBOUNCER, startPgBouncer } from "../support/pgbouncer.ts";
import { createTestDatabase, loginUrl, type TestDatabase } from "../support/test-database.ts";

/** What a new database has on the server of the tests, which is made to be thrown away. */
const USUAL = new Set([
  "fsync_off",
  "full_page_writes_off",
  "synchronous_commit_off",
  "jobs_never_ran",
  "partition_missing",
]);

const engine = inject("engine");
const pooler = await findPgBouncer();
let database: TestDatabase;

beforeEach(async () => {
  database = await createTestDatabase();
  return () => database.drop();
});

const look = (options: Partial<DoctorOptions> = {}, fix = false): Promise<Diagnosis> =>
  diagnose(
    { adminUrl: database.adminUrl, serviceUrl: database.url, poolSize: 10, scheduledJobs: [], ...options },
    { fix },
  );

/** What is found besides the usual, as `code: message`. */
const unusual = async (options: Partial<DoctorOptions> = {}, fix = false): Promise<string[]> =>
  (await look(options, fix)).findings
    .filter(({ code }) => !USUAL.has(code))
    .map(({ code, message }) => `${code}: ${message}`);

const asOwner = (statement: string) => database.sql(`set role mds_owner; ${statement}; reset role`);

describe("a database as it was just migrated", () => {
  it("has nothing but what is said of this server", async () => {
    const { findings } = await look();
    const codes = findings.map(({ code }) => code);
    expect(codes).toEqual(
      expect.arrayContaining(["jobs_never_ran", ...(engine === "plain" ? ["partition_missing"] : [])]),
    );
    expect(codes.filter((code) => !USUAL.has(code))).toEqual([]);
    expect(findings.every(({ message, remedy }) => /^[^\n]+\.$/.test(message) && /^[^\n]+[.?]$/.test(remedy))).toBe(
      true,
    );
  });
});

describe("migrations", () => {
  it("that are pending are found, nothing else is looked at, and they are applied", async () => {
    await migrateDown({ adminUrl: database.adminUrl, serviceUrl: database.url }, { to: 12 });
    expect(await unusual()).toEqual([
      expect.stringMatching(/^migration_pending: These migrations are not applied: 13 \(administration\)/),
    ]);
    const { mended, findings } = await look({}, true);
    expect(mended).toContainEqual({
      code: "migration_pending",
      done: true,
      message: expect.stringMatching(/^Applied \d+ migrations\.$/),
    });
    expect(findings.map(({ code }) => code)).not.toContain("migration_pending");
    expect(await unusual()).toEqual([]);
  });

  it("that were altered, or are unknown, are found and left to a person", async () => {
    await database.sql("update store.schema_migrations set checksum = 'x' where version = 3");
    expect(await unusual({}, true)).toEqual([expect.stringMatching(/^migration_altered: .*: 3 \(options\)\.$/)]);
    await database.sql("insert into store.schema_migrations (version, name, checksum) values (99, 'later', 'x')");
    expect(await unusual({}, true)).toContainEqual(expect.stringMatching(/^migration_unknown: .*: 99 \(later\)\.$/));
  });
});

describe("drift", () => {
  it.each([
    ["column_missing", "alter table store.tenants drop column created_at", "column store.tenants.created_at"],
    ["column_changed", "alter table store.retired_partitions alter column row_count type int4", "row_count"],
    ["column_changed", "alter table store.bars_data alter column volume drop not null", "store.bars_data.volume"],
    ["column_changed", "alter table store.bars_data alter column volume set statistics 100", "without statistics"],
    ["constraint_missing", "alter table store.bars_data drop constraint low_is_lowest", "bars_data.low_is_lowest"],
    [
      "constraint_changed",
      `alter table store.bars_data drop constraint volume_range, add constraint volume_range check (volume > -1)`,
      "volume_range",
    ],
    ["index_missing", "drop index store.job_runs_started", "job_runs_started"],
    ["trigger_missing", "drop trigger bars_updated on store.bars_data", "bars_updated"],
    ["trigger_changed", "alter table store.policies disable trigger aggregate_enabled", "aggregate_enabled"],
    ["function_missing", "drop function mds.seed()", "function mds.seed()"],
    [
      "function_changed",
      `create or replace function store.is_bound() returns boolean language sql stable security definer
       set search_path = pg_catalog, pg_temp as 'select false'`,
      "function store.is_bound()",
    ],
    ["function_changed", "alter function store.is_bound() security invoker", "function store.is_bound()"],
    ["relation_missing", "drop view mds.bars_ohlcv", "relation mds.bars_ohlcv"],
    [
      "view_changed",
      `create or replace view mds.latest_prices with (security_barrier) as
       select vendor, symbol, price, price_timestamp from mds.read_latest_prices(null, null) where price > 0`,
      "view mds.latest_prices",
    ],
    ["relation_changed", "alter view mds.bars reset (security_barrier)", "relation mds.bars"],
    ["relation_missing", "drop table store.retired_partitions", "relation store.retired_partitions"],
  ])("%s by `%s`", async (code, statement, part) => {
    await asOwner(statement);
    const found = await unusual();
    expect(found).toEqual([expect.stringContaining(part)]);
    expect(found[0]).toMatch(new RegExp(`^${code}: `));
    expect(await unusual({}, true)).toEqual(found);
  });

  it("things that no migration made are nobody's business", async () => {
    await asOwner("create view mds.mine as select 1 as one; create table store.extra (a int4)");
    expect(await unusual()).toEqual([]);
  });

  it("of everything is told in a bounded number of findings", async () => {
    await database.sql("drop schema mds cascade; create schema mds authorization mds_owner");
    const found = await unusual();
    expect(found.length).toBeLessThan(80);
    expect(found).toContainEqual(expect.stringMatching(/^schema_drift: \d+ more parts/));
  });
});

describe("rights", () => {
  it("that are missing are found and granted again", async () => {
    await asOwner(`revoke select on mds.bars from mds_reader; revoke usage on schema mds from mds_app;
      revoke execute on function mds.seed() from mds_admin`);
    const [found, ...rest] = await unusual();
    expect(rest).toEqual([]);
    expect(found).toMatch(
      /^grant_missing: .*execute on function mds\.seed\(\) to mds_admin, select on mds\.bars to mds_reader, usage on schema mds to mds_app\.$/,
    );
    const { mended } = await look({}, true);
    expect(mended).toContainEqual({
      code: "grant_missing",
      done: true,
      message: "Granted 3 rights that were missing.",
    });
    expect(await unusual()).toEqual([]);
  });

  it("that nobody should have are found", async () => {
    await asOwner("grant select on store.bars_data to mds_app; grant execute on function mds.seed() to public");
    expect(await unusual()).toEqual([
      expect.stringMatching(/^grant_unexpected: .*mds\.seed\(\) to public, select on store\.bars_data to mds_app/),
    ]);
  });

  it("that the service's login lacks as a member are found and given", async () => {
    await database.sql("drop role if exists mds_test_patient");
    await database.sql("create role mds_test_patient login password 'mds_test_patient'");
    const serviceUrl = loginUrl(database, "mds_test_patient");
    expect(await unusual({ serviceUrl })).toEqual([
      'membership_missing: The login "mds_test_patient" is no member of mds_admin, mds_app.',
    ]);
    expect(await unusual({ serviceUrl }, true)).toEqual([]);
    // Who may not act as the owner is told so, and cannot mend it.
    const found = await unusual({ serviceUrl, adminUrl: serviceUrl }, true);
    expect(found).toEqual(['membership_missing: The login "mds_test_patient" is no member of mds_owner.']);
    const { findings } = await look({ serviceUrl, adminUrl: serviceUrl });
    expect(findings.find(({ code }) => code === "membership_missing")).toMatchObject({
      remedy: "Set ADMIN_DATABASE_URL to the login that migrates.",
    });
    await database.sql("drop role mds_test_patient");
  });

  it("of a superuser are more than the service needs", async () => {
    expect(await unusual({ serviceUrl: database.adminUrl })).toEqual([
      expect.stringMatching(/^superuser_login: The service's login ".*" is a superuser/),
    ]);
  });
});

describe("the server", () => {
  it.each([
    [140_010, ["postgresql_version"], "error"],
    [150_000, [], undefined],
    [180_004, [], undefined],
    [190_001, ["postgresql_version"], "warning"],
  ])("of version %i", (version, codes, severity) => {
    const findings = versionFindings(version);
    expect([findings.map(({ code }) => code), findings[0]?.severity]).toEqual([codes, severity]);
  });

  it.runIf(engine === "plain").each([
    ["2.17.2", 1],
    ["1.9.0", 1],
    ["2.18.0", 0],
    ["3.0.0-dev", 0],
  ])("with TimescaleDB %s", async (version, count) => {
    await database.sql(
      `insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
       values (999999, 'timescaledb', 10, 'public'::regnamespace, false, $1)`,
      [version],
    );
    const found = await unusual();
    await database.sql("delete from pg_extension where oid = 999999");
    expect(found.filter((one) => one.startsWith("extension_too_old"))).toHaveLength(count);
  });

  it.skipIf(pooler === undefined)(`behind a pooler (${INSTALL_PGBOUNCER})`, async () => {
    const bouncer = await startPgBouncer(pooler!, [database.adminUrl, database.url]);
    try {
      const login = new URL(database.adminUrl).username;
      expect(await unusual({ adminUrl: bouncer.urlOf(login) })).toContainEqual(
        expect.stringMatching(/^pooler_in_between: /),
      );
    } finally {
      await bouncer.stop();
    }
  });

  it("with too few connections for the pools", async () => {
    expect(await unusual({ poolSize: 1_000 })).toEqual([
      expect.stringMatching(/^connections_too_few: The server has \d+ .* may need 1016\.$/),
    ]);
  });

  it.each([
    [-5_000, "5.0 s ahead of"],
    [3_600_000, "3600.0 s behind"],
  ])("whose clock differs by %i ms", async (skewMs, text) => {
    expect(await unusual({ now: () => Date.now() + skewMs })).toEqual([
      expect.stringMatching(new RegExp(`^clock_skew: The server's clock is ${text.slice(0, 2)}`)),
    ]);
    expect(await unusual({ now: () => Date.now() + 300 })).toEqual([]);
  });

  it("made for another engine", async () => {
    const other = engine === "plain" ? "timescale" : "plain";
    expect(await unusual({ engine: other })).toEqual([
      `engine_mismatch: MDS_ENGINE is "${other}", but this database was made for the engine "${engine}".`,
    ]);
    expect(await unusual({ engine })).toEqual([]);
  });
});

describe("tables", () => {
  it.runIf(engine === "plain")("without partitions ahead get them", async () => {
    const codes = async (fix: boolean): Promise<string[]> => (await look({}, fix)).findings.map(({ code }) => code);
    expect(await codes(true)).not.toContain("partition_missing");
    const [next] = await database.sql<{ name: string }>(
      "select partition_name as name from store.partitions('bars') order by range_start desc limit 1",
    );
    await asOwner(`drop table store.${next!.name}`);
    const { findings } = await look();
    expect(findings.find(({ code }) => code === "partition_missing")?.message).toMatch(/is missing of bars\.$/);
    expect(await codes(true)).not.toContain("partition_missing");
  });

  it.runIf(engine === "plain")("half detached are detached", async () => {
    await look({}, true);
    const [part] = await database.sql<{ name: string }>(
      "select partition_name as name from store.partitions('bars') order by range_start limit 1",
    );
    const reader = new pg.Client({ connectionString: database.adminUrl });
    const detacher = new pg.Client({ connectionString: database.adminUrl });
    await Promise.all([reader.connect(), detacher.connect()]);
    const { pid } = (await detacher.query<{ pid: number }>("select pg_backend_pid() as pid")).rows[0]!;
    await reader.query("begin isolation level repeatable read");
    await reader.query("select from store.bars_data");
    const detaching = detacher
      .query(`alter table store.bars_data detach partition store.${part!.name} concurrently`)
      .catch((error: { code: string }) => error.code);
    const isPending = async (): Promise<boolean> =>
      (await database.sql("select from pg_inherits where inhdetachpending")).length === 1;
    await expect.poll(isPending, { timeout: 10_000 }).toBe(true);
    await database.sql("select pg_cancel_backend($1)", [pid]);
    expect(await detaching).toBe("57014");
    await reader.query("rollback");
    await Promise.all([reader.end(), detacher.end()]);

    expect(await unusual()).toContainEqual(expect.stringMatching(`^detach_pending: .*store\\.${part!.name} was begun`));
    const { mended } = await look({}, true);
    expect(mended).toContainEqual(expect.objectContaining({ code: "detach_pending", done: true }));
    expect(await isPending()).toBe(false);
    expect(await database.sql(`select from store.${part!.name}`)).toEqual([]);
  });

  it("with an index that was not built to its end lose it", async () => {
    await database.sql("select mds.create_tenant('a', 'same'), mds.create_tenant('b', 'same')");
    await database
      .sql("create unique index concurrently tenants_by_name on store.tenants (name)")
      .catch(() => undefined);
    expect(await unusual()).toEqual([
      expect.stringMatching(/^index_invalid: The index store\.tenants_by_name of tenants/),
    ]);
    const { mended } = await look({}, true);
    expect(mended).toContainEqual({
      code: "index_invalid",
      done: true,
      message: "Dropped the index store.tenants_by_name.",
    });
    expect(await unusual()).toEqual([]);
  });

  it("that are mostly dead rows are told of", async () => {
    await database.sql("create schema if not exists pgboss authorization mds_owner");
    await database.sql("create table pgboss.job (id int4) with (autovacuum_enabled = false)");
    await database.sql("insert into pgboss.job select generate_series(1, 30000)");
    await database.sql("delete from pgboss.job where id > 5000");
    await database.sql("select pg_stat_force_next_flush()");
    await expect
      .poll(() => unusual(), { timeout: 10_000 })
      .toContainEqual(expect.stringMatching(/^bloat: 83 % of the rows of pgboss\.job are dead \(25000 beside 5000\)/));
  });
});

describe("jobs", () => {
  it("that are not scheduled are found", async () => {
    expect((await look({ scheduledJobs: ["retention"] })).findings.map(({ code }) => code)).toContain("jobs_never_ran");
    await database.sql("create schema if not exists pgboss authorization mds_owner");
    await asOwner("create table pgboss.schedule (name text)");
    await database.sql("insert into pgboss.schedule values ('retention')");
    expect(await unusual({ scheduledJobs: ["retention", "make-partitions"] })).toEqual([
      expect.stringMatching(/^job_not_scheduled: .*: make-partitions\.$/),
    ]);
    expect(await unusual({ scheduledJobs: ["retention"] })).toEqual([]);
  });
});

describe("what cannot be looked at", () => {
  it("is an error, and the other checks go on", async () => {
    await asOwner("alter table store.settings rename column value to was");
    const found = await unusual({ poolSize: 1_000 });
    expect(found).toContainEqual(expect.stringMatching(/^check_failed: /));
    expect(found).toContainEqual(expect.stringMatching(/^column_missing: /));
    expect(found).toContainEqual(expect.stringMatching(/^connections_too_few: /));
  });

  it("fails where there is no connection", async () => {
    await expect(look({ serviceUrl: "postgres://nobody@127.0.0.1:1/x" })).rejects.toMatchObject({
      code: "database_unavailable",
    });
  });
});
