import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openStore } from "../../src/client/open-store.ts";
import { openEngine } from "../../src/database/engine/open-engine.ts";
import { migrateDown, migrateUp, migrationStatus } from "../../src/database/migrator.ts";
import { collect, manyBars } from "../support/bars.ts";
import { describeDatabase } from "../support/describe-database.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";
import { compressAll } from "../support/timescale.ts";

let database: TestDatabase;
let options: { adminUrl: string; serviceUrl: string };

describe.skipIf(process.env["TEST_TIMESCALE_URL"] === undefined)("a database with TimescaleDB in it", () => {
  beforeEach(async () => {
    database = await createTestDatabase({ empty: true });
    options = { adminUrl: database.adminUrl, serviceUrl: database.url };
  });

  afterEach(async () => {
    await database.drop();
  });

  it("gets that engine when it is first migrated, or plain where that is asked for, and keeps it", async () => {
    await migrateUp(options, { to: 3 });
    expect(await database.sql("select value from store.settings where name = 'engine'")).toEqual([
      { value: "timescale" },
    ]);
    await expect(migrateUp({ ...options, engine: "plain" })).rejects.toMatchObject({ code: "engine_refused" });
    await migrateDown(options, { to: 0 });
    await migrateUp({ ...options, engine: "plain" });
    expect((await openEngine(database.adminUrl)).name).toBe("plain");
    expect(await migrateUp(options)).toEqual([]);
  });

  it("that was made before there was the engine stays plain", async () => {
    await migrateUp({ ...options, engine: "plain" }, { to: 8 });
    await database.sql("delete from store.settings where name = 'engine'");
    await expect(migrateUp({ ...options, engine: "timescale" })).rejects.toMatchObject({ code: "engine_refused" });
    await migrateUp(options);
    expect((await openEngine(database.adminUrl)).name).toBe("plain");
  });

  it("goes back and forth with its rows, and comes out the same", async () => {
    await migrateUp(options, { to: 15 });
    const before = await describeDatabase(database);
    await migrateUp(options);
    const store = await openStore({ url: database.url });
    await store.bars.upsert(manyBars(500));
    await compressAll(database);
    const after = await describeDatabase(database);
    await migrateDown(options, { to: 15 });
    const plain = (lines: string[]): string[] => lines.filter((line) => !/_data_20\d\d|_hyper_/.test(line));
    expect(plain(await describeDatabase(database))).toEqual(plain(before));
    expect(await collect(store.bars.read({}))).toHaveLength(500);
    await migrateUp(options);
    expect(plain(await describeDatabase(database))).toEqual(plain(after));
    expect(await collect(store.bars.read({}))).toHaveLength(500);
    expect((await migrationStatus(options)).every(({ state }) => state === "applied")).toBe(true);
    await store.close();
  });
});
