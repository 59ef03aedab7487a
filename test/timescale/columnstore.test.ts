import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { deleteTenant } from "../../src/database/delete-tenant.ts";
import { openEngine } from "../../src/database/engine/open-engine.ts";
import { applyPolicies } from "../../src/database/policies.ts";
import { openPool, type Pool } from "../../src/database/pool.ts";
import { allWrongBuckets, NONE_WRONG, refresh } from "../support/aggregates.ts";
import { bar, collect, manyBars } from "../support/bars.ts";
import { createTestDatabase, loginUrl, type TestDatabase } from "../support/test-database.ts";
import { compressAll, rowsBesideColumnstore } from "../support/timescale.ts";

const BOUND = "mds_test_timescale_bound";
const SERIES = 500;
const BARS_EACH = 300;

let database: TestDatabase;
let pool: Pool;
let a: Store;
let b: Store;

describe.skipIf(process.env["TEST_TIMESCALE_URL"] === undefined)("the columnstore", () => {
  beforeAll(async () => {
    database = await createTestDatabase();
    pool = openPool({ url: database.url, applicationName: "test", maxConnections: 2, connectTimeoutMs: 5_000 });
    for (const slug of ["tenant-a", "tenant-b"]) await database.sql("select mds.create_tenant($1, $1)", [slug]);
    a = await openStore({ url: database.url, tenant: "tenant-a" });
    b = await openStore({ url: database.url, tenant: "tenant-b" });
    await database.sql(`drop role if exists ${BOUND}`);
    await database.sql(`create role ${BOUND} login password '${BOUND}' in role mds_reader`);
    await database.sql("select mds.bind_login($1, 'tenant-a')", [BOUND]);
  });

  afterAll(async () => {
    await Promise.all([a.close(), b.close(), pool.end()]);
    await database.drop();
  });

  it("R5 tenants are kept apart and their rows compressed, at once", async () => {
    await a.bars.upsert(manyBars(400));
    await b.bars.upsert(manyBars(400, { volume: 7 }));
    expect(await compressAll(database)).toBeGreaterThan(0);
    expect(await rowsBesideColumnstore(database, "bars")).toBe(0);
    const chunks = await database.sql<{ done: boolean }>(
      "select is_compressed as done from timescaledb_information.chunks where hypertable_schema = 'store'",
    );
    expect(new Set(chunks.map(({ done }) => done))).toEqual(new Set([true]));

    expect(new Set((await collect(b.bars.read({}))).map(({ volume }) => volume))).toEqual(new Set([7]));
    const ofA = await collect(a.bars.read({}));
    expect([ofA.length, ofA.some(({ volume }) => volume === 7)]).toEqual([400, false]);
    const bound = openPool({
      url: loginUrl(database, BOUND),
      applicationName: "test",
      maxConnections: 1,
      connectTimeoutMs: 5_000,
    });
    const { rows } = await bound.query("select count(*)::int4 as rows, min(volume) as least from mds.bars");
    expect(rows).toEqual([{ rows: 400, least: 1_000 }]);
    const [chunk] = await database.sql<{ name: string }>(
      "select format('%I.%I', chunk_schema, chunk_name) as name from timescaledb_information.chunks limit 1",
    );
    await expect(bound.query(`select count(*) from ${chunk!.name}`)).rejects.toMatchObject({ code: "42501" });
    await expect(bound.query("select drop_chunks('store.bars_data', now())")).rejects.toMatchObject({ code: "42501" });
    await bound.end();
  });

  it("is not left by rows that come again", async () => {
    expect(await a.bars.upsert(manyBars(400))).toMatchObject({ unchanged: 400 });
    expect(await rowsBesideColumnstore(database, "bars")).toBe(0);
  });

  it("takes corrections, new rows between old ones, and late ones; aggregates follow", async () => {
    await refresh(database);
    expect(await a.bars.upsert([bar(7, { volume: 1 }), bar(401), bar(-5_000, { volume: 1 })])).toMatchObject({
      inserted: 2,
      updated: 1,
    });
    await database.sql("delete from store.bars_data where ts = '2024-01-02T15:00:00Z'");
    await database.sql("update store.bars_data set volume = 3 where ts = '2024-01-02T15:30:00Z'");
    await refresh(database);
    expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
    const rows = await collect(a.bars.read({}));
    expect([rows.length, rows.find(({ ts }) => ts === bar(7).ts)?.volume]).toEqual([401, 1]);
  });

  it("takes one late batch over many series, however many compressed rows it touches", async () => {
    const symbols = Array.from({ length: SERIES }, (_, at) => `S${at}`);
    await b.bars.upsert(symbols.flatMap((symbol) => manyBars(BARS_EACH, { symbol })));
    await compressAll(database);
    const corrections = symbols.map((symbol) => bar(10, { symbol, volume: 5 }));
    expect(await b.bars.upsert(corrections)).toMatchObject({ updated: SERIES });
    await refresh(database);
    expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
  });

  it("gets the chunks of decades a few at a time, and never all of them in one call", async () => {
    const times = Array.from(
      { length: 100 },
      (_, week) => `${new Date(Date.UTC(1990, 0, 1 + 7 * week)).toISOString()}`,
    );
    const make = (at: readonly string[]) =>
      database.sql("select * from mds.ensure_partitions('bars', $1::timestamptz[])", [at]);
    await database.sql("begin");
    await database.sql(
      "select set_config('role', 'mds_app', true), set_config('app.tenant_id', id::text, true) from store.tenants where slug = 'tenant-a'",
    );
    await expect(make(times)).rejects.toMatchObject({ code: "22023" });
    await database.sql("rollback");
    expect(await a.bars.upsert(times.map((ts) => bar(0, { ts, symbol: "OLD" })))).toMatchObject({ inserted: 100 });
    expect(await database.sql("select from store.partitions('bars') where range_end < '1992-01-01Z'")).toHaveLength(
      100,
    );
    await database.sql("delete from store.bars_data where ts < '1992-01-01Z'");
  });

  it("is filled by the engine's call and by TimescaleDB's own job, which runs as the owner", async () => {
    await a.signals.upsert([{ provider: "p", symbol: "X", name: "n", ts: "2024-01-01T00:00:00Z", value: 1 } as never]);
    await applyPolicies({ pool, timeoutMs: 10_000 }, { signals: { compress_after: "1 year" } });
    const jobs = await database.sql<{ job_id: number; owner: string; after: string }>(
      `select job_id, owner, coalesce(config ->> 'compress_after', config ->> 'columnstore_after') as after
       from timescaledb_information.jobs where hypertable_name = 'signals_data'`,
    );
    expect(jobs).toMatchObject([{ owner: "mds_owner", after: "1 year" }]);
    await database.sql(`call run_job(${jobs[0]!.job_id})`);
    expect(await rowsBesideColumnstore(database, "signals")).toBe(0);
    await applyPolicies({ pool, timeoutMs: 10_000 }, { signals: { compress_after: null } });
    expect(
      await database.sql("select from timescaledb_information.jobs where hypertable_name = 'signals_data'"),
    ).toEqual([]);
    const engine = await openEngine(database.adminUrl);
    expect(await engine.compress({ datasets: ["bars"] })).toMatchObject({ skipped: [] });
    expect(await rowsBesideColumnstore(database, "bars")).toBe(0);
  });

  it("gives up a deleted tenant's rows, and no others", async () => {
    const { rows } = await deleteTenant({ pool, timeoutMs: 30_000 }, "tenant-b");
    expect(rows).toBeGreaterThan(SERIES * BARS_EACH);
    expect(await collect(a.bars.read({}))).toHaveLength(401);
    const [left] = await database.sql<{ rows: number }>("select count(*)::int4 as rows from store.bars_data");
    expect(left).toEqual({ rows: 401 });
  });
});
