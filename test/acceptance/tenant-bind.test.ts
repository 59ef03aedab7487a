/** `mds tenant bind`, `unbind` and `logins`, and what a bound login can do with the command and the library. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { collect, manyBars } from "../support/bars.ts";
import { type CommandResult, mds, scratchFolder } from "../support/mds-command.ts";
import { createTestDatabase, loginUrl, type TestDatabase } from "../support/test-database.ts";

const LOGIN = "Mds Test BI"; // needs quoting wherever it gets into SQL text

let database: TestDatabase;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;
let storeA: Store;

beforeAll(async () => {
  database = await createTestDatabase();
  scratch = await scratchFolder();
  for (const slug of ["a", "b"]) await database.sql("select mds.create_tenant($1, $1)", [slug]);
  storeA = await openStore({ url: database.url, tenant: "a" });
  await storeA.bars.upsert(manyBars(3, { vendor: "of-a" }));
  const storeB = await openStore({ url: database.url, tenant: "b" });
  await storeB.bars.upsert(manyBars(3, { vendor: "of-b" }));
  await storeB.close();
  await database.sql(`create role "${LOGIN}" login password '${LOGIN}'`);
});

afterAll(async () => {
  await storeA.close();
  await database.sql(`drop role "${LOGIN}"`);
  await database.drop();
  await scratch.remove();
});

const run = (args: readonly string[], env: Record<string, string>): Promise<CommandResult> =>
  mds(args, { cwd: scratch.path, env });
const asAdmin = (...args: string[]) => run(args, { DATABASE_URL: database.url, ADMIN_DATABASE_URL: database.adminUrl });
const asBound = (...args: string[]) => run(args, { DATABASE_URL: loginUrl(database, LOGIN) });
const openBound = (tenant?: string) =>
  openStore({ url: loginUrl(database, LOGIN), ...(tenant !== undefined && { tenant }) });

describe("a bound login", () => {
  beforeAll(async () => {
    const bound = await asAdmin("tenant", "bind", LOGIN, "--tenant", "a");
    expect(bound).toMatchObject({ code: 0, stderr: "" });
    expect(bound.stdout).toMatch(/^login +tenant +tenant_id +valid\nMds Test BI +a +[0-9a-f-]{36} +true\n$/);
  });

  it("is listed, and may be bound again to the same tenant", async () => {
    expect((await asAdmin("tenant", "bind", LOGIN, "--tenant", storeA.tenantId)).code).toBe(0);
    const { stdout } = await asAdmin("tenant", "logins", "--json");
    expect(JSON.parse(stdout)).toEqual([{ login: LOGIN, tenant: "a", tenant_id: storeA.tenantId, valid: true }]);
  });

  it("reads its tenant's data with the command, and needs not name the tenant", async () => {
    const { code, stdout, stderr } = await asBound("query", "bars", "--json");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("of-a");
    expect(stdout).not.toContain("of-b");
    expect((await asBound("query", "bars", "--tenant", "a", "--json")).stdout).toBe(stdout);
  });

  it("may have no other tenant, whether that exists or not", async () => {
    const told = [];
    for (const slug of ["b", "x"]) {
      const { code, stderr } = await asBound("query", "bars", "--tenant", slug);
      told.push({ code, stderr: stderr.replaceAll(`"${slug}"`, "T").replace(` ${slug}\``, " T`") });
    }
    expect(told[0]).toEqual(told[1]);
    expect(told[0]!.stderr).toMatch(/\(tenant_unknown\)\n$/);
    await expect(openBound("b")).rejects.toMatchObject({ code: "tenant_unknown" });
  });

  it("reads everything with the library and writes nothing", async () => {
    const store = await openBound();
    expect(store.tenantId).toBe(storeA.tenantId);
    const rows = await collect(store.bars.read({}));
    expect(rows.map(({ vendor }) => vendor)).toEqual(["of-a", "of-a", "of-a"]);
    expect((await store.bars.readColumns({})).length).toBe(3);
    expect(await store.bars.latest()).toHaveLength(1);
    expect(await store.bars.series({})).toHaveLength(1);
    expect((await store.freshness()).find(({ dataset }) => dataset === "bars")?.latest).not.toBeNull();
    expect(await store.options.chain({ symbol: "AAA", at: "2024-01-02T00:00:00Z" })).toEqual([]);
    expect(await store.signals.latest()).toEqual([]);
    expect(await store.runs.recent()).toEqual([]);
    for (const write of [
      () => store.bars.upsert(manyBars(1, { vendor: "of-a" })),
      () => store.runs.start({ job_name: "x", mode: "live" }),
      () => store.runs.prune(1),
    ]) {
      await expect(write()).rejects.toMatchObject({ code: "tenant_refused", retryable: false });
    }
    await store.close();
  });

  it("must be let go before it is bound to another tenant", async () => {
    const { code, stderr } = await asAdmin("tenant", "bind", LOGIN, "--tenant", "b");
    expect(code).toBe(1);
    expect(stderr).toMatch(/^mds: .*"Mds Test BI" is bound to another tenant; unbind it first\. \(login_refused\)\n$/);
  });

  it("sees nothing any more once it is unbound, also through a store that is open", async () => {
    const store = await openBound();
    expect(await asAdmin("tenant", "unbind", LOGIN)).toMatchObject({
      code: 0,
      stderr: `The login "${LOGIN}" is bound no more.\n`,
    });
    await expect(collect(store.bars.read({}))).rejects.toMatchObject({ code: "tenant_refused" });
    await store.close();
    await expect(openBound()).rejects.toMatchObject({ code: "tenant_refused" });
    expect((await asAdmin("tenant", "unbind", LOGIN)).stderr).toBe(`The login "${LOGIN}" was not bound.\n`);
    expect((await asAdmin("tenant", "logins", "--json")).stdout).toBe("[]\n");
  });
});

describe("mds tenant bind refuses", () => {
  const POWERS: [string, string, RegExp][] = [
    ["a superuser", "login superuser", /is a superuser, or may make roles or replicate/],
    ["a login that may make roles", "login createrole", /may make roles/],
    ["a login that may replicate", "login replication", /replicate/],
    ["a role that cannot log in", "nologin", /There is no login/],
    ["a member of mds_app", "login in role mds_app", /can act as "mds_app"/],
    ["a member of mds_admin", "login in role mds_admin", /can act as "mds_admin"/],
    ["a member of the owner", "login in role mds_owner", /can act as "mds_owner"/],
    ["a login that reads all data", "login in role pg_read_all_data", /can act as "pg_read_all_data"/],
    ["a login that sees what others ask", "login in role pg_monitor", /can act as "pg_/],
    ["a member of the service's login", "login in role mds_test_service", /can act as "mds_/],
  ];

  it.each(POWERS)("%s", async (_, attributes, reason) => {
    const login = "mds_test_powerful";
    await database.sql(`create role ${login} ${attributes}`);
    try {
      const { code, stderr } = await asAdmin("tenant", "bind", login, "--tenant", "a");
      expect(code).toBe(1);
      expect(stderr).toMatch(reason);
      expect(stderr).toMatch(/\(login_refused\)\n$/);
      expect(await database.sql("select from store.role_tenants")).toEqual([]);
    } finally {
      await database.sql(`drop role ${login}`);
    }
  });

  it.each([
    [["bind", "mds_test_nobody", "--tenant", "a"], 1, "login_refused"],
    [["bind", LOGIN, "--tenant", "nowhere"], 1, "tenant_unknown"],
    [["bind", LOGIN], 2, "usage"],
  ])("%j", async (args, code, errorCode) => {
    const result = await asAdmin("tenant", ...args);
    expect(result).toMatchObject({ code, stdout: "" });
    expect(result.stderr).toMatch(new RegExp(`\\(${errorCode}\\)\\n$`));
    expect(await database.sql("select from store.role_tenants")).toEqual([]);
  });

  it("an administrator who may not grant, with the SQL for one who may, and leaves nothing half done", async () => {
    const { code, stderr } = await run(["tenant", "bind", LOGIN, "--tenant", "a"], { DATABASE_URL: database.url });
    expect(code).toBe(1);
    expect(stderr).toMatch(/run: grant mds_reader to "Mds Test BI"; and then repeat the command\. \(role_missing\)\n$/);
    expect(await database.sql("select from store.role_tenants")).toEqual([]);
    await database.sql(`grant mds_reader to "${LOGIN}"`);
    expect((await run(["tenant", "bind", LOGIN, "--tenant", "a"], { DATABASE_URL: database.url })).code).toBe(0);
    expect((await asAdmin("tenant", "unbind", LOGIN)).code).toBe(0);
  });
});
