import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { bar, collect, manyBars } from "../support/bars.ts";
import { createTestDatabase, SERVICE_LOGIN, type TestDatabase } from "../support/test-database.ts";

const BOUND_LOGIN = "mds_test_bound_reader";
const STRANGER_LOGIN = "mds_test_stranger";
const READS = [
  "select * from mds.bars",
  "select * from mds.bars_ohlcv",
  "select * from mds.latest_prices",
  "select * from mds.data_freshness where latest is not null",
  "select * from mds.find_bars_series(null, null, null, true, 1000)",
  "select * from mds.read_latest_prices(null, null)",
  "select * from mds.read_bars(array(select generate_series(1, 1000)), '-infinity', 'infinity', false, 1000)",
  "select * from mds.read_bars_columns(array(select generate_series(1, 1000)), '-infinity', 'infinity', false, 1000)",
];
const WRITES = [
  "select mds.ensure_bars_series(array['x'], array['x'], array['1m'])",
  "select * from mds.ensure_partitions('bars', array['2024-01-01Z'::timestamptz])",
  "select * from mds.upsert_bars(array[1], array['2024-01-02Z'::timestamptz], array[1.0], array[1.0], array[1.0], array[1.0], array[1.0], null, null)",
];
const DIRECT = [
  "select * from store.bars_data",
  "select * from store.bars_data_2024_01",
  "select * from store.bars_series",
  "select * from store.tenants",
  "select * from store.role_tenants",
  "delete from store.bars_data",
  "insert into store.tenants (slug, name) values ('mine', 'mine')",
  "truncate store.bars_data_2024_01",
  "create table store.mine (id int4)",
  "create table mds.mine (id int4)",
];
const INSUFFICIENT_PRIVILEGE = "42501";

let database: TestDatabase;
const tenants: Record<"a" | "b" | "gone", string> = { a: "", b: "", gone: "" };
let storeA: Store;
let storeB: Store;

beforeAll(async () => {
  database = await createTestDatabase();
  for (const slug of ["a", "b", "gone"] as const) {
    const [row] = await database.sql<{ id: string }>("select mds.create_tenant($1, $1) as id", [slug]);
    tenants[slug] = row!.id;
  }
  storeA = await openStore({ url: database.url, tenant: "a" });
  storeB = await openStore({ url: database.url, tenant: tenants.b });
  await storeA.bars.upsert(manyBars(10, { vendor: "secret-a", symbol: "AAA" }));
  await storeB.bars.upsert(manyBars(20, { vendor: "secret-b", symbol: "BBB" }));
  const gone = await openStore({ url: database.url, tenant: "gone" });
  await gone.bars.upsert(manyBars(5, { vendor: "secret-gone" }));
  await gone.close();
  await database.sql("update store.tenants set state = 'deleting' where slug = 'gone'");
  for (const login of [BOUND_LOGIN, STRANGER_LOGIN]) {
    await database.sql(`do $$ begin create role ${login}; exception when duplicate_object then null; end $$`);
    await database.sql(`alter role ${login} login password '${login}'`);
  }
  await database.sql(`grant mds_reader to ${BOUND_LOGIN}`);
  await database.sql("select mds.bind_login($1, $2)", [BOUND_LOGIN, tenants.a]);
});

afterAll(async () => {
  await Promise.all([storeA.close(), storeB.close()]);
  await database.sql("delete from store.role_tenants");
  await database.drop();
});

/** Runs statements one after the other on one connection; the last one's rows, or its SQLSTATE. */
async function as(login: string, ...statements: (string | [string, unknown[]])[]): Promise<unknown[] | string> {
  const url = login === "superuser" ? database.adminUrl : database.url.replace(/\/\/[^@]*@/, `//${login}:${login}@`);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    let rows: unknown[] = [];
    for (const statement of statements) {
      const [text, values] = typeof statement === "string" ? [statement, []] : statement;
      rows = (await client.query(text, values)).rows;
    }
    return rows;
  } catch (error) {
    return (error as { code: string }).code;
  } finally {
    await client.end();
  }
}

const app = "set role mds_app";
const tenant = (value: string): [string, unknown[]] => ["select set_config('app.tenant_id', $1, false)", [value]];

describe("R2 the client", () => {
  it("writes and reads its tenant's rows as an ordinary login, as the owner's member and as a superuser", async () => {
    for (const url of [database.url, database.adminUrl]) {
      const store = await openStore({ url, tenant: "a" });
      expect(await store.bars.upsert([bar(0, { vendor: "secret-a" })])).toMatchObject({ unchanged: 1 });
      const rows = await collect(store.bars.read({}));
      expect(new Set(rows.map((row) => row.vendor))).toEqual(new Set(["secret-a"]));
      expect(rows.length).toBe(10);
      await store.close();
    }
  });

  it("knows no tenant that does not exist or is being deleted", async () => {
    for (const name of [
      "nobody",
      "gone",
      tenants.gone,
      "00000000-0000-0000-0000-000000000000",
      "'; drop table x; --",
    ]) {
      await expect(openStore({ url: database.url, tenant: name })).rejects.toMatchObject({ code: "tenant_unknown" });
    }
  });

  it("leaves nothing on its connections", async () => {
    const store = await openStore({ url: database.url, tenant: "a", maxConnections: 1, applicationName: "traces" });
    await store.bars.upsert([bar(0, { vendor: "secret-a" })]);
    const [row] = await database.sql<{ query: string }>(
      "select query from pg_stat_activity where application_name = 'traces'",
    );
    expect(row!.query).toBe("commit");
    await store.close();
  });
});

describe("R3 nobody sees another tenant's rows", () => {
  const sessions: [string, string, (string | [string, unknown[]])[]][] = [
    ["the service's login without a role", SERVICE_LOGIN, []],
    ["the application without a tenant", SERVICE_LOGIN, [app]],
    ["the application with an empty tenant", SERVICE_LOGIN, [app, tenant("")]],
    ["the application with a malformed tenant", SERVICE_LOGIN, [app, tenant("not-a-uuid' or true --")]],
    ["the application with an unknown tenant", SERVICE_LOGIN, [app, tenant("00000000-0000-0000-0000-000000000000")]],
    ["the application with a slug for a tenant", SERVICE_LOGIN, [app, tenant("a")]],
    ["a superuser without a tenant", "superuser", []],
    ["a superuser acting as the application", "superuser", [app]],
  ];
  for (const [who, login, before] of sessions) {
    it.each(READS)(`${who} reads nothing: %s`, async (statement) => {
      const rows = await as(login, ...before, statement);
      expect(rows === INSUFFICIENT_PRIVILEGE || (rows as unknown[]).length === 0).toBe(true);
    });
    it.each(WRITES)(`${who} writes nothing: %s`, async (statement) => {
      expect(await as(login, ...before, statement)).toBe(INSUFFICIENT_PRIVILEGE);
    });
  }

  it("a tenant that is being deleted neither reads nor writes", async () => {
    for (const statement of READS) expect(await as(SERVICE_LOGIN, app, tenant(tenants.gone), statement)).toEqual([]);
    for (const statement of WRITES) {
      expect(await as(SERVICE_LOGIN, app, tenant(tenants.gone), statement)).toBe(INSUFFICIENT_PRIVILEGE);
    }
  });

  it.each(READS)("each tenant reads its own rows only: %s", async (statement) => {
    const seen = JSON.stringify(await as(SERVICE_LOGIN, app, tenant(tenants.a), statement), (_, value) =>
      typeof value === "bigint" ? String(value) : value,
    );
    expect(seen).not.toContain("secret-b");
    expect(seen).not.toContain("secret-gone");
    expect(seen.length).toBeGreaterThan(2);
  });

  it("a foreign series and one that does not exist give the identical error, and rows are not touched", async () => {
    const [foreign] = await database.sql<{ series_id: number }>(
      "select series_id from store.bars_series where vendor = 'secret-b'",
    );
    const upsert = (id: number): [string, unknown[]] => [WRITES[2]!.replace("array[1]", "array[$1::int4]"), [id]];
    const errors = [
      await as(SERVICE_LOGIN, app, tenant(tenants.a), upsert(foreign!.series_id)),
      await as(SERVICE_LOGIN, app, tenant(tenants.a), upsert(987_654)),
    ];
    expect(errors).toEqual(["MD001", "MD001"]);
    expect((await collect(storeB.bars.read({}))).length).toBe(20);
  });

  it.each(DIRECT)("nobody but the owner touches the tables: %s", async (statement) => {
    for (const role of ["mds_app", "mds_admin", "mds_reader"]) {
      expect(await as("superuser", `set role ${role}`, statement)).toBe(INSUFFICIENT_PRIVILEGE);
    }
    expect(await as(SERVICE_LOGIN, statement)).toBe(INSUFFICIENT_PRIVILEGE);
  });
});

describe("R3 a bound login", () => {
  it("has its tenant whatever it sets", async () => {
    for (const value of [tenants.a, tenants.b, "", "junk"]) {
      const rows = (await as(BOUND_LOGIN, tenant(value), "select distinct vendor from mds.bars")) as unknown[];
      expect(rows).toEqual([{ vendor: "secret-a" }]);
    }
  });

  it("cannot write, take another role or see the tables", async () => {
    for (const statement of [
      ...WRITES,
      ...DIRECT,
      "set role mds_app",
      "set role mds_owner",
      "select mds.create_tenant('x', 'x')",
    ]) {
      expect(await as(BOUND_LOGIN, statement)).toBe(INSUFFICIENT_PRIVILEGE);
    }
  });

  it("cannot look past the barrier with a function of its own", async () => {
    const leak = `create function pg_temp.leak(text) returns boolean language plpgsql cost 0.0000001 as $$
      begin raise warning 'saw %', $1; return true; end $$`;
    const client = new pg.Client({
      connectionString: database.url.replace(/\/\/[^@]*@/, `//${BOUND_LOGIN}:${BOUND_LOGIN}@`),
    });
    const warnings: string[] = [];
    client.on("notice", (notice) => warnings.push(notice.message ?? ""));
    await client.connect();
    await client.query(leak);
    await client.query("select * from mds.bars where pg_temp.leak(vendor)");
    await client.query("select * from mds.latest_prices where pg_temp.leak(vendor)");
    await client.end();
    expect(warnings.length).toBeGreaterThan(0);
    expect(warnings.filter((text) => text.includes("secret-b") || text.includes("secret-gone"))).toEqual([]);
  });

  it("gets no tenant from the setting when it is bound to none", async () => {
    await database.sql(`grant mds_reader to ${STRANGER_LOGIN}`);
    expect(await as(STRANGER_LOGIN, tenant(tenants.a), "select * from mds.bars")).toEqual([]);
    await database.sql(`revoke mds_reader from ${STRANGER_LOGIN}`);
    expect(await as(STRANGER_LOGIN, "select * from mds.bars")).toBe(INSUFFICIENT_PRIVILEGE);
  });
});

describe("R4 after a transaction with a tenant has ended", () => {
  it("the setting is empty, which reads as no tenant and is no error", async () => {
    const statements = ["begin", ["select set_config('app.tenant_id', $1, true)", [tenants.a]], "commit"] as const;
    const before = [...statements] as (string | [string, unknown[]])[];
    expect(await as(SERVICE_LOGIN, ...before, "select current_setting('app.tenant_id') as setting")).toEqual([
      { setting: "" },
    ]);
    expect(await as(SERVICE_LOGIN, ...before, app, "select * from mds.bars")).toEqual([]);
  });
});
