import { describe, expect, it, vi } from "vitest";
import { FakeServiceDatabase } from "../../test/support/fake-service-database.ts";
import type { ErrorCode } from "../errors/codes.ts";
import { StoreError } from "../errors/store-error.ts";
import { createLogger } from "../telemetry/logger.ts";
import { type MigrationProgress, startMigration } from "./start-migration.ts";

function migrationOf(database: FakeServiceDatabase, wait?: (ms: number) => Promise<void>) {
  const lines: { level: string; msg: string }[] = [];
  const log = createLogger({ level: "info", stream: { write: (line) => void lines.push(JSON.parse(line)) } });
  const progress: MigrationProgress[] = [];
  const applied: number[] = [];
  const ending = new AbortController();
  const run = () =>
    startMigration({
      database,
      log,
      signal: ending.signal,
      onProgress: (next) => void progress.push(next),
      onApplied: (count) => void applied.push(count),
      ...(wait && { wait }),
    });
  return { run, ending, lines, progress, applied };
}

describe("startMigration", () => {
  it("migrates and says so", async () => {
    const { run, lines, progress, applied } = migrationOf(new FakeServiceDatabase());
    await run();
    expect(applied).toEqual([2]);
    expect(progress).toEqual([{ kind: "done" }]);
    expect(lines).toMatchObject([{ level: "info", applied: 2 }]);
  });

  it("says nothing when there was nothing to do", async () => {
    const { run, lines, progress } = migrationOf(Object.assign(new FakeServiceDatabase(), { applied: 2 }));
    await run();
    expect(progress).toEqual([{ kind: "done" }]);
    expect(lines).toEqual([]);
  });

  it("waits for a database that is away, quietly and ever longer, and then migrates", async () => {
    const database = Object.assign(new FakeServiceDatabase(), { mode: "away" as FakeServiceDatabase["mode"] });
    const waits: number[] = [];
    const { run, lines, progress } = migrationOf(database, async (ms) => {
      if (waits.push(ms) === 10) database.mode = "up";
    });
    await run();
    for (const [attempt, ms] of waits.entries()) {
      const doubled = Math.min(250 * 2 ** attempt, 2_000);
      expect(ms).toBeGreaterThanOrEqual(0.8 * doubled);
      expect(ms).toBeLessThanOrEqual(doubled);
    }
    expect(progress.map(({ kind }) => kind)).toEqual([...Array(10).fill("waiting"), "done"]);
    expect(lines).toMatchObject([{ level: "info", msg: "The database was migrated." }]);
  });

  it.each<ErrorCode>(["migration_failed", "migration_altered", "migration_unknown", "role_missing"])(
    "does not try again after %s",
    async (code) => {
      const migrationFault = new StoreError(code, "A person is needed.");
      const database = Object.assign(new FakeServiceDatabase(), { migrationFault });
      const { run, lines, progress } = migrationOf(database);
      await run();
      expect(database.calls.migrate).toBe(1);
      expect(progress).toEqual([{ kind: "failed", code }]);
      expect(lines).toMatchObject([{ level: "error", err: { code } }]);
    },
  );

  it("ends when it is told to", async () => {
    const database = Object.assign(new FakeServiceDatabase(), { mode: "away" as const });
    const { run, ending, progress } = migrationOf(database);
    const ended = run();
    await vi.waitFor(() => expect(progress).toHaveLength(1));
    ending.abort();
    await ended;
    expect(database.calls.migrate).toBe(1);
  });
});
