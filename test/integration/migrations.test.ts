import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { readMigrations } from "../../src/database/migration-files.ts";
import { migrateDown, migrateUp, migrationStatus, stampMigrations } from "../../src/database/migrator.ts";
import { adminUrlOf, createTestDatabase, type TestDatabase } from "../support/test-database.ts";
import { startThrowawayCluster } from "../support/throwaway-cluster.ts";

const all = await readMigrations(inject("engine"));
let database: TestDatabase;
let options: { adminUrl: string; serviceUrl: string };

beforeEach(async () => {
  database = await createTestDatabase({ empty: true });
  options = { adminUrl: database.adminUrl, serviceUrl: database.url };
});

afterEach(async () => {
  await database.drop();
});

const states = async (): Promise<string[]> => (await migrationStatus(options)).map(({ state }) => state);

describe("migrations", () => {
  it("say what is pending without touching an empty database", async () => {
    expect(new Set(await states())).toEqual(new Set(["pending"]));
    expect(await database.sql("select from pg_namespace where nspname in ('store', 'mds')")).toEqual([]);
  });

  it("apply everything once, and the second time nothing", async () => {
    const applied = await migrateUp(options);
    expect(applied).toEqual(all);
    expect(await migrateUp(options)).toEqual([]);
    expect(new Set(await states())).toEqual(new Set(["applied"]));
  });

  it("show the plan and change nothing with dryRun", async () => {
    expect(await migrateUp(options, { dryRun: true })).toEqual(all);
    expect(new Set(await states())).toEqual(new Set(["pending"]));
    expect(await database.sql("select from pg_namespace where nspname in ('store', 'mds')")).toEqual([]);
  });

  it("are no trouble to an ordinary login when there is nothing to do, and refused when there is", async () => {
    const ordinary = { adminUrl: database.url };
    await expect(migrateUp(ordinary)).rejects.toMatchObject({ retryable: false });
    await migrateUp(options);
    expect(await migrateUp(ordinary)).toEqual([]);
    expect(new Set((await migrationStatus(ordinary)).map(({ state }) => state))).toEqual(new Set(["applied"]));
  });

  it("are applied once when eight processes migrate at once", async () => {
    const applied = await Promise.all(Array.from({ length: 8 }, () => migrateUp(options)));
    expect(applied.map((list) => list.length).filter((count) => count > 0)).toEqual([all.length]);
  });

  it("go down and up again to the same database, and leave the roles alone", async () => {
    await migrateUp(options);
    const before = await objects();
    await migrateDown(options, { to: 0 });
    expect(await database.sql("select from store.schema_migrations")).toEqual([]);
    expect(await database.sql("select from pg_roles where rolname = 'mds_owner'")).toHaveLength(1);
    await migrateUp(options);
    expect(await objects()).toEqual(before);
  });

  it("can be stamped, and then are neither run nor pending", async () => {
    await migrateUp(options);
    await database.sql("delete from store.schema_migrations");
    expect(new Set(await states())).toEqual(new Set(["pending"]));
    await stampMigrations(options, all.length);
    expect(new Set(await states())).toEqual(new Set(["applied"]));
    expect(await migrateUp(options)).toEqual([]);
    await expect(stampMigrations(options, 99)).rejects.toMatchObject({ code: "usage" });
  });

  it("give the objects to an owner that is not a superuser", async () => {
    await migrateUp(options);
    const owners = await database.sql<{ owner: string }>(
      "select distinct tableowner as owner from pg_tables where schemaname in ('store', 'mds')",
    );
    expect(owners).toEqual([{ owner: "mds_owner" }]);
    expect(await database.sql("select from pg_roles where rolname = 'mds_owner' and rolsuper")).toEqual([]);
  });
});

describe("migrations that need a person", () => {
  const next = String(all.length + 1).padStart(4, "0");
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "mds-migrations-"));
    await cp(new URL("../../migrations/", import.meta.url), folder, { recursive: true });
  });

  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  const own = () => ({ ...options, folder: pathToFileURL(`${folder}/`) });

  it("refuse a released migration that was changed", async () => {
    await migrateUp(options);
    await writeFile(join(folder, "0002-bars.sql"), "-- migrate:up\nselect 1;\n-- migrate:down\n");
    await expect(migrateUp(own())).rejects.toMatchObject({ code: "migration_altered" });
    expect((await migrationStatus(own())).map(({ state }) => state)).toEqual([
      "applied",
      "altered",
      ...all.slice(2).map(() => "applied"),
    ]);
  });

  it("refuse a database that a newer version migrated", async () => {
    await writeFile(join(folder, `${next}-more.sql`), "-- migrate:up\nselect 1;\n-- migrate:down\n");
    await migrateUp(own());
    await expect(migrateUp(options)).rejects.toMatchObject({ code: "migration_unknown" });
  });

  it("roll a failed migration back whole, keep those before, and say which", async () => {
    await writeFile(
      join(folder, `${next}-broken.sql`),
      "-- migrate:up\ncreate table store.half (id int4); select 1 / 0;\n-- migrate:down\n",
    );
    await expect(migrateUp(own())).rejects.toMatchObject({
      code: "migration_failed",
      message: expect.stringContaining(`Migration ${all.length + 1} (broken)`),
    });
    expect(await database.sql("select to_regclass('store.half') as half")).toEqual([{ half: null }]);
    expect((await migrationStatus(own())).map(({ state }) => state)).toEqual([...all.map(() => "applied"), "pending"]);
  });
});

describe("eight databases of one new cluster", () => {
  it("migrate at once and nobody fails, though none of the roles exists yet", async () => {
    const cluster = await startThrowawayCluster();
    try {
      const client = new pg.Client({ connectionString: cluster.adminUrl });
      await client.connect();
      const names = Array.from({ length: 8 }, (_, at) => `race_${at}`);
      for (const name of names) await client.query(`create database ${name}`);
      await client.end();
      const applied = await Promise.all(
        names.map((name) => migrateUp({ adminUrl: adminUrlOf(cluster.adminUrl, name), serviceUrl: cluster.url })),
      );
      expect(applied.map((list) => list.length)).toEqual(names.map(() => all.length));
    } finally {
      await cluster.stop();
    }
  });
});

async function objects(): Promise<string[]> {
  const rows = await database.sql<{ object: string }>(
    `select pg_describe_object(classid, objid, objsubid) as object from pg_shdepend d
     where d.dbid = (select oid from pg_database where datname = current_database())
       and d.refobjid = 'mds_owner'::regrole and deptype = 'o' order by 1`,
  );
  return rows.map(({ object }) => object.replaceAll(/_\d+/g, ""));
}
