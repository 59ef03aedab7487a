import { describe, expect, it, vi } from "vitest";
import { FakeServiceDatabase } from "../../test/support/fake-service-database.ts";
import { databaseProbe, migrationsProbe, prometheusProbe } from "./health-probes.ts";
import type { MigrationProgress } from "./start-migration.ts";

const signal = new AbortController().signal;

describe("databaseProbe", () => {
  it("is healthy while the database answers, and fails with its error otherwise", async () => {
    const database = new FakeServiceDatabase();
    expect(await databaseProbe(database).check(signal)).toEqual({ state: "healthy" });
    database.mode = "away";
    await expect(databaseProbe(database).check(signal)).rejects.toMatchObject({ code: "database_unavailable" });
  });
});

describe("migrationsProbe", () => {
  const check = async (database: FakeServiceDatabase, progress: MigrationProgress) =>
    migrationsProbe(database, () => progress).check(signal);

  it.each([
    [0, { kind: "waiting" }, "degraded", "migration_pending"],
    [2, { kind: "waiting" }, "degraded", "migration_pending"],
    [0, { kind: "done" }, "degraded", "migration_pending"],
    [0, { kind: "failed", code: "migration_failed" }, "unhealthy", "migration_failed"],
    [2, { kind: "done" }, "healthy", undefined],
    [2, { kind: "failed", code: "migration_failed" }, "healthy", undefined],
  ] as const)("with %i applied and %j is %s", async (applied, progress, state, code) => {
    const report = await check(Object.assign(new FakeServiceDatabase(), { applied }), progress);
    expect(report).toEqual({
      state,
      details: { version: String(applied), pending: String(2 - applied), ...(code && { code }) },
    });
  });

  it("is unhealthy when an applied migration was altered", async () => {
    const database = Object.assign(new FakeServiceDatabase(), { applied: 2, checksumOk: false });
    expect(await check(database, { kind: "done" })).toMatchObject({
      state: "unhealthy",
      details: { code: "migration_altered" },
    });
  });

  it("keeps what it found last while the database is away", async () => {
    const database = Object.assign(new FakeServiceDatabase(), { applied: 2 });
    const probe = migrationsProbe(database, () => ({ kind: "done" }));
    const found = await probe.check(signal);
    database.mode = "away";
    expect(await probe.check(signal)).toBe(found);
  });

  it("is degraded when it never found anything, and unhealthy when the migration failed", async () => {
    const database = Object.assign(new FakeServiceDatabase(), { mode: "away" as const });
    expect(await check(database, { kind: "waiting" })).toMatchObject({
      state: "degraded",
      details: { code: "database_unavailable" },
    });
    expect(await check(database, { kind: "failed", code: "migration_altered" })).toMatchObject({
      state: "unhealthy",
      details: { code: "migration_altered" },
    });
  });
});

describe("prometheusProbe", () => {
  it("renders until it has worked once, and then leaves it to the scrapes", async () => {
    const render = vi.fn(async () => "text");
    await prometheusProbe({ lastRender: "none", render }).check(signal);
    await prometheusProbe({ lastRender: "ok", render }).check(signal);
    expect(render).toHaveBeenCalledTimes(1);
    await prometheusProbe({ lastRender: "failed", render }).check(signal);
    expect(render).toHaveBeenCalledTimes(2);
  });
});
