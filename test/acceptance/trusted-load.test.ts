/** `mds ingest --trusted` and `mds restore --trusted`: the command as an administrator uses it. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { barsCsv } from "../support/bars.ts";
import { mds, scratchFolder, startMds } from "../support/mds-command.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;
let env: Record<string, string>;

beforeAll(async () => {
  database = await createTestDatabase();
  scratch = await scratchFolder();
  env = { DATABASE_URL: database.url, ADMIN_DATABASE_URL: database.adminUrl };
});

afterAll(async () => {
  await database.drop();
  await scratch.remove();
});

const run = (args: string[], settings = env) => mds(args, { cwd: scratch.path, env: settings });

async function file(name: string, text: string): Promise<string> {
  const path = join(scratch.path, name);
  await writeFile(path, text);
  return path;
}

const countOf = async (symbol: string): Promise<number> => {
  const [row] = await database.sql<{ count: number }>(
    "select count(*)::int4 as count from store.bars_data d join store.bars_series s using (series_id) where s.symbol = $1",
    [symbol],
  );
  return row!.count;
};

it("loads a file, notes that in the ledger, and changes nothing when it loads it again", async () => {
  const path = await file("history.csv", `${barsCsv(0, 500, "HIST")}test,HIST,1m,never,1,1,1,1,1\n`);
  const first = await run(["ingest", "bars", path, "--trusted", "--json"]);
  expect(first.code).toBe(3);
  expect(JSON.parse(first.stdout)).toMatchObject({ total: { read: 501, inserted: 500, unchanged: 0, rejected: 1 } });
  const [ledger] = await database.sql(
    "select job_name, dataset, status, rows_written::int4, metadata from store.job_runs order by started_at desc limit 1",
  );
  expect(ledger).toEqual({
    job_name: "ingest",
    dataset: "bars",
    status: "succeeded",
    rows_written: 500,
    metadata: { trusted: true, copied: 500 },
  });
  const again = await run(["ingest", "bars", path, "--trusted", "--json"]);
  expect(JSON.parse(again.stdout)).toMatchObject({ total: { inserted: 0, unchanged: 500, rejected: 1 } });
});

it("restores a dump into another tenant, which dumps the same bytes", async () => {
  await database.sql("select mds.create_tenant('second', 'second')");
  const dump = await run(["dump", "bars", "-", "--symbol", "HIST"]);
  expect(dump.code).toBe(0);
  const path = await file("dump.ndjson", dump.stdout);
  expect((await run(["restore", "bars", path, "--trusted", "--tenant", "second"])).code).toBe(0);
  expect((await run(["dump", "bars", "-", "--tenant", "second"])).stdout).toBe(dump.stdout);
});

it("leaves whole batches behind when it is killed, and completes them the next time", async () => {
  const csv = barsCsv(0, 2_000, "KILLED");
  const [head, ...lines] = csv.trimEnd().split("\n");
  const running = startMds(["ingest", "bars", "-", "--trusted", "--batch-rows", "100"], { cwd: scratch.path, env });
  running.child.stdin.write(`${[head, ...lines.slice(0, 1_000)].join("\n")}\n`);
  await expect.poll(() => countOf("KILLED"), { timeout: 20_000 }).toBeGreaterThan(0);
  running.child.kill("SIGKILL");
  await running.done;
  const before = await countOf("KILLED");
  expect(before % 100).toBe(0);
  const path = await file("killed.csv", csv);
  const again = await run(["ingest", "bars", path, "--trusted", "--json"]);
  const { inserted, unchanged } = (JSON.parse(again.stdout) as { total: Record<string, number> }).total;
  expect([inserted! + unchanged!, inserted! <= 2_000 - before]).toEqual([2_000, true]);
  expect(await countOf("KILLED")).toBe(2_000);
});

it("refuses in one sentence what cannot be", async () => {
  const path = await file("one.csv", barsCsv(0, 1, "ONE"));
  const wrong = await run(["ingest", "bars", path, "--trusted"], { DATABASE_URL: database.url });
  expect(wrong).toMatchObject({
    code: 1,
    stderr:
      "mds: This login may not act as mds_owner, who owns the tables; set ADMIN_DATABASE_URL to the login that migrates. (role_missing)\n",
  });
  const both = await run(["ingest", "bars", path, "--trusted", "--via", "coordinator"]);
  expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining("leave out --trusted or --via") });
  const decimals = await run(["ingest", "fundamentals", path, "--trusted"]);
  expect(decimals).toMatchObject({ code: 2, stderr: expect.stringContaining("cannot be loaded as trusted") });
  expect(await countOf("ONE")).toBe(0);
});
