import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type CommandResult, finished, scratchFolder, startProgram } from "../support/mds-command.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const DEMO = fileURLToPath(new URL("../../examples/demo.ts", import.meta.url));

let database: TestDatabase;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;

beforeAll(async () => {
  database = await createTestDatabase({ empty: true });
  scratch = await scratchFolder();
});

afterAll(async () => {
  await Promise.all([database.drop(), scratch.remove()]);
});

function demo(): Promise<CommandResult> {
  const env = { MDS_DSN: database.url, ADMIN_DATABASE_URL: database.adminUrl };
  return finished(startProgram(process.execPath, [DEMO], { cwd: scratch.path, env }));
}

/** Values, and the transactions that wrote the rows. */
const stored = () =>
  database.sql(`select count(*)::int4 as rows, sum(close_price::numeric)::text as prices,
    sum(xmin::text::int8)::text as writers from store.bars_data`);

it("the demo fills an empty database and changes nothing when it runs again", async () => {
  const first = await demo();
  expect(first).toMatchObject({ code: 0, stderr: "" });
  expect(first.stdout).toMatch(/S&P 500.*: 5105 rows .*\n {2}5105 inserted\n/);
  expect(first.stdout).toMatch(/market.*: 97500 rows .*\n {2}97500 inserted\n/);
  expect(first.stdout).toMatch(/^ {2}vega-datasets +SPX +2874\.56 +2020-04-17T00:00:00Z/m);
  const before = await stored();

  const second = await demo();
  expect(second).toMatchObject({ code: 0, stderr: "" });
  expect(second.stdout).toMatch(/\n {2}5105 unchanged\n(.*\n)* {2}97500 unchanged\n/);
  expect(await stored()).toEqual(before);
});

it("the demo says in one sentence what is wrong", async () => {
  const env = { MDS_DSN: "postgresql://nobody:hunter2@127.0.0.1:1/none" };
  const { code, stdout, stderr } = await finished(startProgram(process.execPath, [DEMO], { cwd: scratch.path, env }));
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(/^demo: .*\n$/);
  expect(stderr).not.toContain("hunter2");
});
