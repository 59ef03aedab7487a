import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openEngine } from "../../src/database/engine/open-engine.ts";
import { readMigrations } from "../../src/database/migration-files.ts";
import { migrateDown, migrateUp, stampMigrations } from "../../src/database/migrator.ts";
import { StoreDatabase } from "../../src/database/store-database.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let options: { adminUrl: string; serviceUrl: string };

beforeEach(async () => {
  database = await createTestDatabase({ empty: true });
  options = { adminUrl: database.adminUrl, serviceUrl: database.url };
});

afterEach(async () => {
  await database.drop();
});

/** As though an administrator had made the extension. */
async function pretendTimescale(version: string): Promise<void> {
  await database.sql("set allow_system_table_mods = on");
  await database.sql(
    `insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
     select 99999, 'timescaledb', oid, 'public'::regnamespace, false, $1 from pg_roles where rolname = current_user`,
    [version],
  );
}

const recorded = () => database.sql("select value from store.settings where name = 'engine'");
const record = (engine: string) => database.sql("update store.settings set value = $1 where name = 'engine'", [engine]);

describe("the engine", () => {
  it("is recorded by the first migration and told from then on", async () => {
    await migrateUp(options, { to: 1 });
    expect(await recorded()).toEqual([{ value: "plain" }]);
    await migrateUp(options);
    expect((await openEngine(database.adminUrl)).name).toBe("plain");
    const store = new StoreDatabase({ url: database.url, maxConnections: 1 });
    expect(await store.schemaVersion(AbortSignal.timeout(5_000))).toMatchObject({ engine: "plain" });
    await store.close();
  });

  it("is recorded in a database of an earlier version when it is next migrated", async () => {
    await migrateUp(options, { to: 8 });
    await database.sql("delete from store.settings where name = 'engine'");
    const store = new StoreDatabase({ url: database.url, maxConnections: 1 });
    expect(await store.schemaVersion(AbortSignal.timeout(5_000))).toMatchObject({ version: 8, engine: null });
    await migrateUp(options);
    expect(await store.schemaVersion(AbortSignal.timeout(5_000))).toMatchObject({ engine: "plain" });
    await store.close();
  });

  it("is read from the database and not guessed", async () => {
    await migrateUp(options);
    await record("citus");
    const store = new StoreDatabase({ url: database.url, maxConnections: 1 });
    expect(await store.schemaVersion(AbortSignal.timeout(5_000))).toMatchObject({ engine: "citus" });
    await store.close();
    const refusal = { code: "engine_refused", message: expect.stringContaining('made for the engine "citus"') };
    await expect(openEngine(database.adminUrl)).rejects.toMatchObject(refusal);
    await expect(migrateUp(options)).rejects.toMatchObject(refusal);
    await expect(migrateUp({ adminUrl: database.url })).rejects.toMatchObject(refusal);
  });

  it("may be asked for, and is refused where it cannot be, before anything is made", async () => {
    const refusal = {
      code: "engine_refused",
      message: expect.stringMatching(/MDS_ENGINE is "timescale", but the extension is not in this database/),
    };
    await expect(migrateUp({ ...options, engine: "citus" })).rejects.toMatchObject({
      code: "engine_refused",
      message: expect.stringContaining('This version has no engine "citus"'),
    });
    await expect(migrateUp({ ...options, engine: "timescale" })).rejects.toMatchObject(refusal);
    await expect(migrateUp({ ...options, engine: "timescale" }, { dryRun: true })).rejects.toMatchObject(refusal);
    expect(await database.sql("select to_regclass('store.settings') as made")).toEqual([{ made: null }]);
    await migrateUp({ ...options, engine: "plain" });
    await expect(migrateUp({ ...options, engine: "timescale" })).rejects.toMatchObject({
      code: "engine_refused",
      message: expect.stringContaining('made for the engine "plain"'),
    });
    expect(await migrateUp({ ...options, engine: "plain" })).toEqual([]);
  });

  it("is plain where TimescaleDB has no columnstore for want of its license", async () => {
    await pretendTimescale("2.29.2");
    await database.sql(`alter database ${database.name} set timescaledb.license = 'apache'`);
    await expect(migrateUp({ ...options, engine: "timescale" })).rejects.toMatchObject({
      code: "engine_refused",
      message: expect.stringContaining('runs under the license "apache"'),
    });
    await migrateUp(options);
    expect(await recorded()).toEqual([{ value: "plain" }]);
  });

  it("is plain where TimescaleDB is too old", async () => {
    await pretendTimescale("2.17.2");
    await expect(migrateUp({ ...options, engine: "timescale" })).rejects.toMatchObject({
      code: "engine_refused",
      message: expect.stringContaining("TimescaleDB is 2.17.2, and at least 2.18 is needed"),
    });
    await migrateUp(options);
    expect(await recorded()).toEqual([{ value: "plain" }]);
    await database.sql("delete from pg_extension where extname = 'timescaledb'");
  });

  it("is there after stamping too, and after going back", async () => {
    await migrateUp(options);
    await database.sql("delete from store.settings where name = 'engine'");
    await database.sql("delete from store.schema_migrations where version > 8");
    await stampMigrations(options, (await readMigrations()).length);
    expect(await recorded()).toEqual([{ value: "plain" }]);
    await migrateDown(options, { to: 8 });
    expect(await recorded()).toEqual([{ value: "plain" }]);
  });
});
