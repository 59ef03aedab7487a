/** `mds ingest --via coordinator`: the same rows and counts as without, and a spool that the next run goes on with. */
import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { barLines } from "../support/ingest-service.ts";
import { mds, scratchFolder, startMds } from "../support/mds-command.ts";
import { type DatabaseProxy, startDatabaseProxy } from "../support/tcp-proxy.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let proxy: DatabaseProxy;
let folder: Awaited<ReturnType<typeof scratchFolder>>;

beforeAll(async () => {
  database = await createTestDatabase();
  proxy = await startDatabaseProxy(database.url);
});
beforeEach(async () => {
  folder = await scratchFolder();
});
afterEach(async () => {
  proxy.heal();
  await folder.remove();
});
afterAll(async () => {
  await proxy.close();
  await database.drop();
});

const env = () => ({ DATABASE_URL: proxy.url, MDS_CB_HALF_OPEN_AFTER_SEC: "0.2" });
const args = ["ingest", "bars", "bars.ndjson", "--via", "coordinator"];

const spooledBytes = (): number => {
  const spool = join(folder.path, ".mds", "spool");
  return readdirSync(spool).reduce((sum, name) => sum + statSync(join(spool, name)).size, 0);
};

async function stored(symbol: string): Promise<number> {
  const [row] = await database.sql<{ n: string }>(
    "select count(*) as n from store.bars_data d join store.bars_series s using (series_id) where s.symbol = $1",
    [symbol],
  );
  return Number(row!.n);
}

describe("mds ingest --via coordinator", () => {
  it("stores the rows, rejects bad lines by their number, and counts both", async () => {
    writeFileSync(join(folder.path, "bars.ndjson"), `${barLines(3_000)}{"vendor":"v"}\n`);
    const { code, stdout, stderr } = await mds([...args, "--json"], { cwd: folder.path, env: env() });
    expect(stderr).toContain("line 3001");
    expect(JSON.parse(stdout)).toMatchObject({ total: { inserted: 3_000, rejected: 1 } });
    expect(code).toBe(3);
    expect(await stored("AAA")).toBe(3_000);
  });

  it("reads times of a named zone as without a coordinator", async () => {
    const row = { vendor: "v", symbol: "ZONE", name: "n", ts: "2024-01-02 09:30", value: 1 };
    writeFileSync(join(folder.path, "signals.ndjson"), JSON.stringify(row));
    const zone = ["ingest", "signals", "signals.ndjson", "--timezone", "America/New_York", "--via", "coordinator"];
    expect((await mds(zone, { cwd: folder.path, env: env() })).code).toBe(0);
    const [found] = await database.sql<{ ts: Date }>("select ts from store.signals_data");
    expect(found!.ts.toISOString()).toBe("2024-01-02T14:30:00.000Z");
  });

  it("keeps what it read through kill -9, and the next run stores it", async () => {
    // The file's end never comes, so that it is killed in the middle, with rows in the spool and the database away.
    const running = startMds(["ingest", "bars", "-", "--via", "coordinator"], { cwd: folder.path, env: env() });
    running.child.stdin.write(barLines(1).replaceAll("AAA", "FIRST").repeat(2_000));
    await vi.waitFor(() => expect(existsSync(join(folder.path, ".mds", "spool"))).toBe(true), { timeout: 20_000 });
    await vi.waitFor(async () => expect(await stored("FIRST")).toBe(1), { timeout: 20_000 });
    proxy.cut();
    running.child.stdin.write(barLines(20_000).replaceAll("AAA", "KILLED"));
    await vi.waitFor(() => expect(spooledBytes()).toBeGreaterThan(500_000), { timeout: 20_000 });
    running.child.kill("SIGKILL");
    await running.done;
    expect(await stored("KILLED")).toBe(0);
    proxy.heal();
    writeFileSync(join(folder.path, "bars.ndjson"), barLines(1).replaceAll("AAA", "LAST"));
    const next = await mds([...args, "--json"], { cwd: folder.path, env: env() });
    expect(next.code).toBe(0);
    expect(next.stderr).toMatch(/^\d+ rows from before are in the spool; they are stored first\.$/m);
    // What is from before is in nobody's counts.
    expect(JSON.parse(next.stdout)).toMatchObject({ total: { read: 1, inserted: 1, unchanged: 0 } });
    expect(await stored("KILLED")).toBeGreaterThan(0);
  });

  it("ends on Ctrl-C although the database is away, and says what stays in the spool", async () => {
    const running = startMds(["ingest", "bars", "-", "--via", "coordinator"], {
      cwd: folder.path,
      // The circuit stays open: nothing is waited for that cannot come in time.
      env: { ...env(), MDS_CB_HALF_OPEN_AFTER_SEC: "600" },
    });
    running.child.stdin.write(barLines(1).replaceAll("AAA", "BEFORE").repeat(2_000));
    await vi.waitFor(async () => expect(await stored("BEFORE")).toBe(1), { timeout: 20_000 });
    proxy.cut();
    running.child.stdin.write(barLines(20_000).replaceAll("AAA", "STOPPED"));
    await vi.waitFor(() => expect(spooledBytes()).toBeGreaterThan(500_000), { timeout: 20_000 });
    running.child.kill("SIGINT");
    const { code, stderr } = await running.done;
    expect(code).toBe(130);
    const left = Number(/^(\d+) accepted rows stay in the spool; the next run/m.exec(stderr)?.[1]);
    expect(left).toBeGreaterThan(0);
    proxy.heal();
    writeFileSync(join(folder.path, "bars.ndjson"), barLines(1).replaceAll("AAA", "AFTER"));
    expect((await mds(args, { cwd: folder.path, env: env() })).code).toBe(0);
    expect(await stored("STOPPED")).toBe(left);
  });

  it("says that a service on the same data folder has the spool", async () => {
    writeFileSync(join(folder.path, "bars.ndjson"), barLines(1));
    const service = startMds(["serve", "--host", "127.0.0.1", "--port", "0"], {
      cwd: folder.path,
      env: { ...env(), ADMIN_DATABASE_URL: database.adminUrl, MDS_JOBS_ENABLED: "false" },
    });
    const lock = join(folder.path, ".mds", "spool");
    await vi.waitFor(() => expect(existsSync(lock)).toBe(true), { timeout: 20_000 });
    const { code, stderr } = await mds(args, { cwd: folder.path, env: env() });
    expect(stderr).toContain("(spool_in_use)");
    expect(code).toBe(1);
    service.child.kill("SIGTERM");
    await service.done;
  });
});
