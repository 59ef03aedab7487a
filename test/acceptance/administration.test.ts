/** Migrations, tenants, the seed, and the questions to a database, as an ordinary login and as its administrator. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CommandResult, mds, scratchFolder } from "../support/mds-command.ts";
import { startDatabaseProxy } from "../support/tcp-proxy.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let empty: TestDatabase;
let database: TestDatabase;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;

beforeAll(async () => {
  empty = await createTestDatabase({ empty: true });
  database = await createTestDatabase();
  scratch = await scratchFolder();
});

afterAll(async () => {
  await empty.drop();
  await database.drop();
  await scratch.remove();
});

const run = (args: string[], env: Record<string, string>): Promise<CommandResult> =>
  mds(args, { cwd: scratch.path, env });
const onEmpty = (...args: string[]) => run(args, { MDS_DSN: empty.url, ADMIN_DATABASE_URL: empty.adminUrl });
const onStore = (...args: string[]) => run(args, { DATABASE_URL: database.url });

async function states(): Promise<string[]> {
  const { stdout } = await onEmpty("migrate", "status", "--json");
  return (JSON.parse(stdout) as { state: string }[]).map(({ state }) => state);
}

describe("mds migrate", () => {
  it("applies, shows, takes back and stamps", async () => {
    expect(new Set(await states())).toEqual(new Set(["pending"]));
    const plan = await onEmpty("migrate", "--dry-run");
    expect(plan).toMatchObject({ code: 0, stdout: "" });
    expect(plan.stderr).toMatch(/^Would apply migrations 1 \(foundation\), 2 \(bars\)/);
    expect(new Set(await states())).toEqual(new Set(["pending"]));

    const one = await onEmpty("migrate", "up", "--to", "1", "--json");
    expect(one.code).toBe(0);
    expect(JSON.parse(one.stdout)).toEqual([{ version: 1, name: "foundation", state: "applied" }]);
    expect((await states()).slice(0, 2)).toEqual(["applied", "pending"]);

    expect((await onEmpty("migrate")).stderr).toMatch(/^Applied migration.* 2 \(bars\)/);
    expect(await onEmpty("migrate")).toMatchObject({ code: 0, stderr: "Nothing is pending.\n" });
    expect(new Set(await states())).toEqual(new Set(["applied"]));
    const { stdout } = await onEmpty("migrate", "status");
    expect(stdout).toMatch(/^version +name +state +applied_at\n +1 +foundation +applied +20\d\d-/);

    expect(await onEmpty("migrate", "up", "--to", "9000")).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^mds: There is no migration 9000; the newest is \d+\. \(usage\)\n$/),
    });
    const unconfirmed = await onEmpty("migrate", "down", "--to", "1");
    expect(unconfirmed.code).toBe(2);
    expect(unconfirmed.stderr).toMatch(/take back .*2 \(bars\), with all data in the tables.*--yes/);
    expect(new Set(await states())).toEqual(new Set(["applied"]));
    expect((await onEmpty("migrate", "down", "--to", "1", "--dry-run")).stderr).toMatch(/^Would take back /);
    const back = await onEmpty("migrate", "down", "--to", "1", "--yes");
    expect(back).toMatchObject({ code: 0, stderr: expect.stringMatching(/^Taking back .*2 \(bars\)/) });
    expect((await states()).slice(0, 2)).toEqual(["applied", "pending"]);
    expect((await onEmpty("migrate", "down", "--to", "9000", "--yes")).code).toBe(0);

    const stamped = await onEmpty("migrate", "stamp", "--to", "2");
    expect(stamped).toMatchObject({ code: 0, stderr: expect.stringMatching(/^Recorded migration 2 \(bars\)/) });
    expect((await states()).slice(0, 2)).toEqual(["applied", "applied"]);
  });

  it("shows an ordinary login the same", async () => {
    const { code, stdout } = await onStore("migrate", "status", "--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)[0]).toMatchObject({ version: 1, name: "foundation", state: "applied" });
  });
});

describe("a database that was never migrated", () => {
  it.each([[["query", "bars"]], [["latest", "--vendor", "v", "S"]], [["tenant", "list"]], [["seed"]]])(
    "is refused by %j with the way to mend it, and nothing is migrated",
    async (args) => {
      const bare = await createTestDatabase({ empty: true });
      const { code, stderr } = await run(args, { MDS_DSN: bare.url });
      expect(code).toBe(1);
      expect(stderr).toMatch(/^mds: .*run `mds migrate`.*\(migration_pending\)\n$/);
      expect(await bare.sql("select from pg_namespace where nspname in ('store', 'mds')")).toEqual([]);
      expect(await run(["schema-version"], { MDS_DSN: bare.url })).toMatchObject({
        code: 0,
        stdout: expect.stringContaining("not installed"),
      });
      await bare.drop();
    },
  );
});

describe("mds seed", () => {
  it("R9 may be repeated and adds nothing", async () => {
    const before = (await onStore("tenant", "list", "--json")).stdout;
    for (let times = 0; times < 2; times++) expect(await onStore("seed")).toMatchObject({ code: 0, stdout: "" });
    expect((await onStore("tenant", "list", "--json")).stdout).toBe(before);
  });
});

describe("mds tenant", () => {
  it("creates, lists and renames", async () => {
    const made = await onStore("tenant", "create", "acme", "--name", "Acme Trading", "--json");
    expect(made).toMatchObject({ code: 0, stderr: "" });
    const [{ id }] = JSON.parse(made.stdout) as [{ id: string }];
    expect(JSON.parse(made.stdout)).toEqual([
      { id, slug: "acme", name: "Acme Trading", state: "active", created_at: expect.stringMatching(/Z$/) },
    ]);
    const renamed = await onStore("tenant", "rename", "acme", "--slug", "acme-2", "--json");
    expect(JSON.parse(renamed.stdout)).toMatchObject([{ id, slug: "acme-2", name: "Acme Trading" }]);
    await onStore("tenant", "rename", id, "--name", "Acme");
    const { stdout } = await onStore("tenant", "list");
    expect(stdout).toMatch(new RegExp(`^slug +id +name +state +created_at\\nacme-2 +${id} +Acme +active +`));
    expect(stdout).toMatch(/^default +/m);
  });

  it.each([
    [["create", "default"], 1, "tenant_exists"],
    [["create", "No Slug"], 2, "usage"],
    [["create", "nameless", "--name", ""], 2, "usage"],
    [["rename", "nobody", "--name", "x"], 1, "tenant_unknown"],
  ])("%j ends with %i and says why", async (args, code, errorCode) => {
    const result = await onStore("tenant", ...args);
    expect(result).toMatchObject({ code, stdout: "" });
    expect(result.stderr).toMatch(new RegExp(`^mds: .*\\(${errorCode}\\)\\n$`));
  });

  it("an unknown one is named by the verbs that work for a tenant", async () => {
    const { code, stderr } = await onStore("query", "bars", "--tenant", "nobody");
    expect(code).toBe(1);
    expect(stderr).toMatch(/^mds: There is no tenant "nobody";.* \(tenant_unknown\)\n$/);
  });
});

describe("mds tenant token", () => {
  it("makes, lists and revokes", async () => {
    const made = await onStore("tenant", "token", "create", "default", "--name", "feed-1");
    expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^mds_[\w-]{43}\n$/) });
    const id = /^Made (\S+);/.exec(made.stderr)![1]!;
    const [token] = JSON.parse((await onStore("tenant", "token", "list", "default", "--json")).stdout) as object[];
    expect(token).toEqual({ id, name: "feed-1", created_at: expect.stringMatching(/Z$/), revoked_at: null });
    expect(await onStore("tenant", "token", "revoke", "default", id)).toMatchObject({ code: 0, stdout: "" });
    const { stdout } = await onStore("tenant", "token", "list", "default");
    expect(stdout).toMatch(new RegExp(`^id +name +created_at +revoked_at\\n${id} +feed-1 +20\\S+Z +20\\S+Z`));
    const json = await onStore("tenant", "token", "create", "default", "--name", "feed-2", "--json");
    expect(JSON.parse(json.stdout)).toMatchObject({ name: "feed-2", token: expect.stringMatching(/^mds_/) });
  });

  it.each([
    [["create", "default"], 2, "usage"],
    [["create", "default", "--name", ""], 2, "usage"],
    [["create", "nobody", "--name", "x"], 1, "tenant_unknown"],
    [["list", "nobody"], 1, "tenant_unknown"],
    [["revoke", "default", "seven"], 1, "token_unknown"],
    [["revoke", "default", "00000000-0000-4000-8000-000000000001"], 1, "token_unknown"],
  ])("%j ends with %i and says why", async (args, code, errorCode) => {
    const result = await onStore("tenant", "token", ...args);
    expect(result).toMatchObject({ code, stdout: "" });
    expect(result.stderr).toMatch(new RegExp(`^mds: .*\\(${errorCode}\\)\\n$`));
  });
});

describe("mds ping and mds schema-version", () => {
  it("answer for a database that is there", async () => {
    expect(await onStore("ping")).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^PostgreSQL [\d.]+ answered in [\d.]+ ms\.\n$/),
      stderr: "",
    });
    expect(JSON.parse((await onStore("ping", "--json")).stdout)).toEqual({
      engine_version: expect.stringMatching(/^\d+/),
      elapsed_ms: expect.any(Number),
    });
    expect(JSON.parse((await onStore("schema-version", "--json")).stdout)).toMatchObject({
      version: expect.any(Number),
      pending: 0,
      checksum_ok: true,
    });
    expect((await onStore("schema-version")).stdout).toMatch(
      /^The schema is at version \d+, .*nothing is pending\.\n$/,
    );
  });

  it.each([["ping"], ["schema-version"], ["query", "bars"], ["seed"], ["migrate", "status"], ["tenant", "list"]])(
    "%s %s ends with 1 and one sentence when the database is away",
    async (...verb) => {
      const proxy = await startDatabaseProxy(database.url);
      proxy.cut();
      const args = verb.filter((part) => part !== undefined);
      const { code, stdout, stderr } = await run(args, { MDS_DSN: proxy.url });
      await proxy.close();
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toMatch(/^mds: The database does not answer: .*\(database_unavailable\)\n$/);
      expect(stderr).not.toContain(new URL(database.url).password);
    },
  );

  it("take --dsn before MDS_DSN before DATABASE_URL", async () => {
    const dead = "postgres://u:p@127.0.0.1:1/none";
    expect((await run(["ping", "--dsn", database.url], { MDS_DSN: dead, DATABASE_URL: dead })).code).toBe(0);
    expect((await run(["ping"], { MDS_DSN: database.url, DATABASE_URL: dead })).code).toBe(0);
    expect((await run(["ping"], { MDS_DSN: dead, DATABASE_URL: database.url })).code).toBe(1);
  });
});
