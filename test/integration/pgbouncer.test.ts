import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { migrateUp } from "../../src/database/migrator.ts";
import { bar, collect, manyBars } from "../support/bars.ts";
import { findPgBouncer, INSTALL_PGBOUNCER, type PgBouncer, startPgBouncer } from "../support/pgbouncer.ts";
import { createTestDatabase, loginUrl, SERVICE_LOGIN, type TestDatabase } from "../support/test-database.ts";

const BOUND_LOGIN = "mds_test_pooled_reader";
const STORES_PER_TENANT = 4;
const ROUNDS = 6;
const ROWS = 150;

const binary = await findPgBouncer();
if (binary === undefined) {
  console.warn(`SKIPPED: nothing was tested behind PgBouncer, which is not installed: ${INSTALL_PGBOUNCER}`);
}
const missing = binary === undefined ? ` (not installed: ${INSTALL_PGBOUNCER})` : "";

describe.skipIf(binary === undefined)(`behind PgBouncer in transaction mode${missing}`, () => {
  let database: TestDatabase;
  let pooler: PgBouncer;
  let url: string;
  const opened: Store[] = [];

  const open = async (
    tenant: string,
    options: { maxConnections?: number; timeoutMs?: number } = {},
  ): Promise<Store> => {
    const store = await openStore({ url, tenant, ...options });
    opened.push(store);
    return store;
  };

  beforeAll(async () => {
    database = await createTestDatabase();
    for (const slug of ["a", "b"]) await database.sql("select mds.create_tenant($1, $1)", [slug]);
    await database.sql(`create role ${BOUND_LOGIN} login password '${BOUND_LOGIN}' in role mds_reader`);
    await database.sql("select mds.bind_login($1, 'a')", [BOUND_LOGIN]);
    pooler = await startPgBouncer(binary!, [database.url, database.adminUrl, loginUrl(database, BOUND_LOGIN)]);
    url = pooler.urlOf(SERVICE_LOGIN);
  });

  afterAll(async () => {
    await Promise.all(opened.map((store) => store.close()));
    await pooler?.stop();
    await database?.sql("select mds.unbind_login($1)", [BOUND_LOGIN]);
    await database?.sql(`drop role ${BOUND_LOGIN}`);
    await database?.drop();
  });

  it("two tenants write and read at the same time through many stores, and none sees a row of the other", async () => {
    const work = async (tenant: "a" | "b", number: number): Promise<void> => {
      const store = await open(tenant, { maxConnections: 3 });
      const vendor = `of-${tenant}`;
      const symbol = `${tenant}${number}`;
      for (let round = 0; round < ROUNDS; round++) {
        const rows = manyBars(ROWS, { vendor, symbol }).map((one) => ({ ...one, volume: round }));
        const counts = { inserted: round === 0 ? ROWS : 0, updated: round === 0 ? 0 : ROWS, unchanged: 0, rejected: 0 };
        expect(await store.bars.upsert(rows, { batchRows: 40 })).toMatchObject(counts);
        const [read, columns, latest, series] = await Promise.all([
          collect(store.bars.read({})),
          store.bars.readColumns({ symbol }),
          store.bars.latest(),
          store.bars.series({}),
        ]);
        const seen = [...read, ...columns.series, ...latest, ...series].map((one) => one.vendor);
        expect(new Set(seen)).toEqual(new Set([vendor]));
        expect(columns.length).toBe(ROWS);
        expect(new Set(columns.values.volume)).toEqual(new Set([round]));
      }
    };
    const numbers = Array.from({ length: STORES_PER_TENANT }, (_, at) => at);
    await Promise.all(numbers.flatMap((number) => [work("a", number), work("b", number)]));
    const rows = await database.sql(
      `select t.slug, count(*)::int4 as rows, count(distinct s.vendor)::int4 as vendors
       from store.bars_data d join store.bars_series s using (series_id) join store.tenants t on t.id = s.tenant_id
       group by 1 order by 1`,
    );
    const rowsEach = STORES_PER_TENANT * ROWS;
    expect(rows).toEqual([
      { slug: "a", rows: rowsEach, vendors: 1 },
      { slug: "b", rows: rowsEach, vendors: 1 },
    ]);
  });

  it("all datasets, the ledger, the batch writer and a snapshot work", async () => {
    const store = await open("a");
    const ts = "2024-03-04T09:30:00Z";
    await store.options.upsert([
      { vendor: "v", symbol: "O", expiry: "2024-06-21", option_type: "C", strike: "100", ts, bid: 1 },
    ]);
    expect(await store.options.chain({ symbol: "O", at: "2024-03-05T00:00:00Z" })).toHaveLength(1);
    await store.fundamentals.upsert([{ vendor: "v", symbol: "F", asof: ts, eps: "1.25" }]);
    await store.news.upsert([{ vendor: "v", published_at: ts, title: "t", url: "u", metadata: { a: 1 } }]);
    expect(await collect(store.news.read({}))).toHaveLength(1);
    const writer = store.batchWriter({ maxRows: 10 });
    for (let at = 0; at < 35; at++)
      await writer.write("signals", { vendor: "v", symbol: "S", name: "n", ts, value: at });
    await writer.close();
    expect((await store.signals.latest()).map(({ value }) => value)).toEqual([34]);
    const run = await store.runs.start({ job_name: "pooled", mode: "live" });
    await Promise.all(Array.from({ length: 20 }, () => store.runs.progress(run.run_id, { rows_written: 1 })));
    expect((await store.runs.complete(run.run_id)).rows_written).toBe(20n);
    const snapshot = await store.snapshot();
    const before = (await collect(snapshot.read(store.bars.dataset, {}))).length;
    await store.bars.upsert(manyBars(5, { vendor: "of-a", symbol: "later" }));
    expect((await collect(snapshot.read(store.bars.dataset, {}))).length).toBe(before);
    await snapshot.close();
  });

  it("refused statements disturb nobody who shares a connection", async () => {
    const [a, b] = [await open("a"), await open("b")];
    const unknown = "12345678-1234-4234-8234-123456789abc";
    const failing = Array.from({ length: 40 }, () =>
      expect(a.runs.get(unknown)).rejects.toMatchObject({ code: "run_unknown" }),
    );
    const working = Array.from({ length: 40 }, async (_, at) => {
      expect(await b.bars.upsert([bar(at, { vendor: "of-b", symbol: "beside" })])).toMatchObject({ inserted: 1 });
    });
    await Promise.all([...failing, ...working]);
    expect(await collect(b.bars.read({ symbol: "beside" }))).toHaveLength(40);
    expect(await collect(a.bars.read({ symbol: "beside" }))).toEqual([]);
  });

  it("nothing stays on the server's connections: no role, no tenant, no timeout, nothing prepared", async () => {
    const store = await open("a", { timeoutMs: 7_654 });
    await collect(store.bars.read({ limit: 1 }));
    const clients = Array.from({ length: 6 }, () => new pg.Client({ connectionString: url }));
    await Promise.all(clients.map((client) => client.connect()));
    const states = await Promise.all(
      clients.map(async (client) => {
        const { rows } = await client.query(
          `select current_user::text as user, current_setting('statement_timeout') as timeout,
             coalesce(current_setting('app.tenant_id', true), '') as tenant,
             (select count(*)::int4 from pg_prepared_statements) as prepared`,
        );
        await client.end();
        return rows[0];
      }),
    );
    for (const state of states) expect(state).toEqual({ user: SERVICE_LOGIN, timeout: "0", tenant: "", prepared: 0 });
  });

  it("a call that ran out of time or was stopped leaves the pool usable", async () => {
    const hasty = await open("a", { timeoutMs: 300, maxConnections: 2 });
    const other = await open("b");
    await hasty.bars.upsert([bar(0, { vendor: "of-a", symbol: "slow" })]);
    const blocker = new pg.Client({ connectionString: database.adminUrl });
    await blocker.connect();
    await blocker.query("begin");
    await blocker.query("lock table store.bars_data in access exclusive mode");
    const late = () => hasty.bars.upsert([bar(1, { vendor: "of-a", symbol: "slow" })]);
    await expect(Promise.all([late(), late(), late()])).rejects.toMatchObject({ code: "deadline_exceeded" });
    const stop = new AbortController();
    const stopped = other.bars.upsert([bar(1, { vendor: "of-b", symbol: "slow" })], { signal: stop.signal });
    const waiting = async (): Promise<boolean> => {
      const rows = await database.sql(
        "select from pg_locks l where not l.granted and l.relation = 'store.bars_data'::regclass",
      );
      return rows.length > 0;
    };
    await expect.poll(waiting, { timeout: 10_000 }).toBe(true);
    stop.abort();
    await expect(stopped).rejects.toMatchObject({ code: "aborted" });
    await blocker.query("rollback");
    await blocker.end();
    for (let times = 0; times < 10; times++) {
      const [rows] = await Promise.all([
        collect(hasty.bars.read({ symbol: "slow" })),
        other.bars.upsert([bar(times, { vendor: "of-b", symbol: "after" })]),
      ]);
      expect(new Set(rows.map(({ vendor }) => vendor))).toEqual(new Set(["of-a"]));
    }
  });

  it("a bound login reads its tenant's rows and writes nothing", async () => {
    const store = await openStore({ url: pooler.urlOf(BOUND_LOGIN) });
    opened.push(store);
    expect(new Set((await store.bars.series({})).map(({ vendor }) => vendor))).toEqual(new Set(["of-a"]));
    expect((await collect(store.bars.read({}))).length).toBeGreaterThan(0);
    await expect(store.bars.upsert(manyBars(1))).rejects.toMatchObject({ code: "tenant_refused" });
    await expect(openStore({ url: pooler.urlOf(BOUND_LOGIN), tenant: "b" })).rejects.toMatchObject({
      code: "tenant_unknown",
    });
  });

  it("migrations are refused and ask for a direct connection", async () => {
    const superuser = decodeURIComponent(new URL(database.adminUrl).username);
    const before = await database.sql("select version from store.schema_migrations");
    await expect(migrateUp({ adminUrl: pooler.urlOf(superuser) })).rejects.toMatchObject({
      code: "config_invalid",
      message: expect.stringContaining("direct connection"),
    });
    expect(await database.sql("select version from store.schema_migrations")).toEqual(before);
    // The server ends a session a moment after its client has gone; other databases have locks of their own.
    const locks = `select from pg_locks l join pg_database d on d.oid = l.database
      where l.locktype = 'advisory' and d.datname = current_database()`;
    await expect.poll(() => database.sql(locks)).toEqual([]);
  });
});
