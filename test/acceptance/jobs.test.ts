/** `mds jobs` on the ledger of a tenant and of the system. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { type CommandResult, mds } from "../support/mds-command.ts";
import { ageRun } from "../support/runs.ts";
import { runByHand } from "../support/session.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const DAY_MINUTES = 24 * 60;

let database: TestDatabase;
let store: Store;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.sql("select mds.create_tenant('other', 'other')");
  store = await openStore({ url: database.url });
  const old = await store.runs.start({ job_name: "old", mode: "maintenance" });
  await store.runs.complete(old.run_id);
  await ageRun(database, old, 91 * DAY_MINUTES);
  const silent = await store.runs.start({ job_name: "silent", mode: "live", provider: "v" });
  await ageRun(database, silent, 16);
  const failed = await store.runs.start({ job_name: "load", mode: "backfill", provider: "v", dataset: "bars" });
  await store.runs.fail(failed.run_id, "first line\nsecond \u001b[31mline", { rows_written: 10, min_ts: 0n });
  await runByHand(database, "", "select mds.start_run(gen_random_uuid(), 'retention', 'maintenance')", "mds_admin");
});

afterAll(async () => {
  await store.close();
  await database.drop();
});

const jobs = (...args: string[]): Promise<CommandResult> => mds(["jobs", ...args], { env: { MDS_DSN: database.url } });
const names = ({ stdout }: CommandResult): string[] =>
  (JSON.parse(stdout) as { job_name: string }[]).map(({ job_name }) => job_name);

describe("mds jobs runs", () => {
  it("lists the newest first, as a table and as JSON", async () => {
    const table = await jobs("runs");
    expect(table).toMatchObject({ code: 0, stderr: "" });
    const [head, first, ...others] = table.stdout.trimEnd().split("\n");
    expect(head).toMatch(/^started_at +job_name +provider +mode +status +rows_written +rows_failed +elapsed_s /);
    expect(first).toMatch(/^20\S+Z +load +v +backfill +failed +10 +0 +\d+\.\d{3} .* first line\\u000asecond \\u001b/);
    expect(others).toHaveLength(2);
    const [run] = JSON.parse((await jobs("runs", "--json", "--limit", "1")).stdout) as object[];
    expect(run).toMatchObject({
      job_name: "load",
      dataset: "bars",
      status: "failed",
      rows_written: 10,
      min_ts: "1970-01-01T00:00:00Z",
      error: "first line\nsecond \u001b[31mline",
      started_at: expect.stringMatching(/^20.*Z$/),
      elapsed_us: expect.any(Number),
    });
  });

  it.each([
    [["--job", "old"], ["old"]],
    [["--status", "running"], ["silent"]],
    [["--mode", "backfill", "--provider", "v", "--dataset", "bars"], ["load"]],
    [["--tenant", "other"], []],
    [["--system"], ["retention"]],
  ])("%j shows %j", async (args, expected) => {
    expect(names(await jobs("runs", "--json", ...args))).toEqual(expected);
  });

  it("says so when there are none", async () => {
    expect(await jobs("runs", "--tenant", "other")).toMatchObject({ code: 0, stdout: "", stderr: "No runs match.\n" });
  });
});

describe("mds jobs stuck", () => {
  it("R40 lists who was silent for so many minutes", async () => {
    expect(names(await jobs("stuck", "--json"))).toEqual(["silent"]);
    expect((await jobs("stuck")).stdout).toMatch(/^started_at .*\n\S+ +silent +v +live +running /);
    expect(await jobs("stuck", "--minutes", "17")).toMatchObject({ code: 0, stdout: "", stderr: "No run is stuck.\n" });
  });
});

describe("mds jobs summary", () => {
  it("sums up by job", async () => {
    const rows = JSON.parse((await jobs("summary", "--json")).stdout) as object[];
    expect(rows).toMatchObject([
      { job_name: "load", runs: 1, failed: 1, rows_written: 10, max_elapsed_us: expect.any(Number) },
      { job_name: "silent", runs: 1, running: 1, mean_elapsed_us: null },
    ]);
    expect((await jobs("summary")).stdout).toMatch(/^job_name .*\nload +v +backfill +1 +0 +0 +1 +0 +10 +0 +\d/);
    expect(names(await jobs("summary", "--hours", "3000", "--json"))).toEqual(["load", "old", "silent"]);
    expect((await jobs("summary", "--tenant", "other")).stderr).toMatch(/^No run ended in the last 24 hours/);
  });
});

describe("mds jobs prune", () => {
  it("counts, deletes, and deletes no more", async () => {
    expect(await jobs("prune", "--days", "90", "--dry-run")).toMatchObject({
      code: 0,
      stdout: "Would delete 1 run.\n",
    });
    expect(names(await jobs("runs", "--json"))).toContain("old");
    const { stdout } = await jobs("prune", "--days", "90", "--json");
    expect(JSON.parse(stdout)).toEqual({ runs: 1, dry_run: false });
    expect(names(await jobs("runs", "--json"))).toEqual(["load", "silent"]);
    expect(await jobs("prune", "--days", "90")).toMatchObject({ code: 0, stdout: "Deleted 0 runs.\n", stderr: "" });
  });
});

describe("wrong usage", () => {
  it.each([
    [["prune"], /Required option '--days/],
    [["prune", "--days", "0"], /--days .*from 1 to 36500/],
    [["stuck", "--minutes", "15m"], /--minutes .*whole number/],
    [["runs", "--status", "done"], /Allowed choices are running, succeeded, failed, cancelled/],
    [["runs", "--system", "--tenant", "other"], /'--system' cannot be used with option '--tenant/],
  ])("%j ends with 2", async (args, message) => {
    const { code, stdout, stderr } = await jobs(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(message);
  });

  it.each(["runs", "stuck", "prune", "summary"])("the help of %s has an example", async (verb) => {
    const { code, stdout } = await jobs(verb, "--help");
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`Examples:\\n.*mds jobs ${verb}`));
  });
});
