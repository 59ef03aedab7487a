import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { readMigrations } from "../../src/database/migration-files.ts";
import { StoreDatabase } from "../../src/database/store-database.ts";
import { startService } from "../../src/service/server.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { StoreMetrics } from "../../src/telemetry/metrics.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const newest = (await readMigrations()).length;
let database: TestDatabase;
const soon = (): AbortSignal => AbortSignal.timeout(5_000);

beforeEach(async () => {
  database = await createTestDatabase({ empty: true });
});

afterEach(async () => {
  await database.drop();
});

const open = (url = database.url) => new StoreDatabase({ url, adminUrl: database.adminUrl, maxConnections: 4 });

describe("StoreDatabase", () => {
  it("tells the schema before, after and altered, as an ordinary login", async () => {
    const store = open();
    await store.ping(soon());
    expect(await store.schemaVersion(soon())).toMatchObject({
      version: 0,
      applied_at: null,
      pending: newest,
      checksum_ok: true,
    });
    expect(await store.migrate(soon())).toEqual({ applied: newest });
    expect(await store.schemaVersion(soon())).toMatchObject({
      version: newest,
      applied_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      pending: 0,
      checksum_ok: true,
      engine: inject("engine"),
      engine_version: expect.stringMatching(/^\d+/),
    });
    await database.sql("update store.schema_migrations set checksum = 'other' where version = 1");
    expect(await store.schemaVersion(soon())).toMatchObject({ checksum_ok: false });
    await expect(store.migrate(soon())).rejects.toMatchObject({ code: "migration_altered" });
    await database.sql("update store.schema_migrations set version = 99 where version = 3");
    expect(await store.schemaVersion(soon())).toMatchObject({ checksum_ok: false, pending: 1 });
    await store.close();
  });

  // A hypertable makes its chunks with the rows.
  it.runIf(inject("engine") === "plain")(
    "has the partitions of now and of the next periods once it has migrated",
    async () => {
      const store = open();
      await store.migrate(soon());
      const uncovered = `select p.dataset from store.policies p where p.enabled and cardinality(store.uncovered(p.dataset, array(
      select date_trunc(p.partition_width, now()) + ahead * ('1 ' || p.partition_width)::interval from generate_series(0, 3) ahead
    ))) > 0`;
      expect(await database.sql(uncovered)).toEqual([]);
      await store.close();
    },
  );

  it("says that a database is away, and ends in time when its signal does", async () => {
    const store = open("postgres://nobody:nothing@127.0.0.1:1/none");
    await expect(store.ping(soon())).rejects.toMatchObject({ code: "database_unavailable" });
    await expect(store.schemaVersion(AbortSignal.abort())).rejects.toMatchObject({ name: "StoreError" });
    await store.close();
  });
});

describe("the service on a real database", () => {
  it("R29 answers ten thousand health checks on the connections that it has", async () => {
    const store = open();
    const metrics = new StoreMetrics();
    const log = createLogger({ level: "silent" });
    const ready = Promise.withResolvers<string>();
    const config = { host: "127.0.0.1", port: 0, migrateOnStart: true, shutdownTimeoutMs: 5_000 };
    const service = await startService({ config, database: store, log, metrics, onReady: ready.resolve });
    const url = await ready.promise;
    const connections = async (): Promise<number> => {
      const [row] = await database.sql<{ count: number }>(
        "select count(*)::int4 as count from pg_stat_activity where datname = current_database() and application_name = 'mds serve'",
      );
      return row!.count;
    };
    for (let round = 0; round < 100; round++) {
      const answers = await Promise.all(
        Array.from({ length: 100 }, async () => {
          const answer = await fetch(`${url}/health`);
          await answer.arrayBuffer();
          return answer.status;
        }),
      );
      expect(new Set(answers)).toEqual(new Set([200]));
    }
    expect(await connections()).toBeLessThanOrEqual(2);
    expect(await (await fetch(`${url}/schema/version`)).json()).toMatchObject({ version: newest, pending: 0 });
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/^store_up 1$/m);
    await service.stop();
    await expect.poll(connections).toBe(0);
  });
});
