/** `mds policies show|apply` and MDS_ENGINE, as an operator uses them. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { mds, scratchFolder } from "../support/mds-command.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const engine = inject("engine");
/** How wide partitions are before, how wide they may become, and after how long they are compressed. */
const BARS = engine === "plain" ? ["month", "-"] : ["7 days", "30 days"];
const SIGNALS = engine === "plain" ? ["year", "month"] : ["30 days", "60 days"];

let database: TestDatabase;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;

beforeAll(async () => {
  database = await createTestDatabase();
  scratch = await scratchFolder();
});

afterAll(async () => {
  await database.drop();
  await scratch.remove();
});

const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  mds(args, { cwd: scratch.path, env: { MDS_DSN: database.url, ...env } });
const file = async (content: unknown): Promise<string> => {
  const path = join(scratch.path, "policies.json");
  await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
};

describe("mds policies", () => {
  it("shows what is kept, applies a file, says what changes, and changes nothing the second time", async () => {
    const shown = await run(["policies", "show"]);
    expect(shown.code).toBe(0);
    expect(shown.stdout).toMatch(
      new RegExp(`^dataset +partition_width +compress_after +keep_for .*\\nbars +${BARS.join(" +")} +- +true`),
    );

    const path = await file({ bars: { keep_for: "2 years" }, signals: { partition_width: SIGNALS[1] } });
    const dry = await run(["policies", "apply", path, "--dry-run"]);
    expect(dry).toMatchObject({ code: 0, stdout: "" });
    expect(dry.stderr).toBe(
      `Would change:\n  bars.keep_for: null -> 2 years\n  signals.partition_width: ${SIGNALS.join(" -> ")}\n`,
    );
    expect((await run(["policies", "apply", path])).stderr).toMatch(/^Changed:\n {2}bars.keep_for: null -> 2 years\n/);
    const again = await run(["policies", "apply", path, "--json"]);
    expect(again).toMatchObject({ code: 0, stdout: "[]\n", stderr: expect.stringMatching(/^Nothing changes/) });

    const { stdout } = await run(["policies", "show", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({
      bars: { partition_width: BARS[0], compress_after: BARS[1] === "-" ? null : BARS[1], keep_for: "2 years" },
    });
    expect((await run(["policies", "apply", await file(stdout)])).stderr).toMatch(/^Nothing changes/);
  });

  it.each([
    ["no JSON", "{", /policies\.json is no JSON: /],
    ["an unknown dataset", { bar: {} }, /There is no dataset "bar"; there are bars, /],
    ["an unknown field", { bars: { keep: "1 year" } }, /policies\.json > bars: Unrecognized key: "keep"/],
    ["a length that is none", { bars: { keep_for: "90" } }, /policies\.json > bars > keep_for: It must be whole days/],
    ["nothing to keep", { bars: { keep_for: "0 days" } }, /It must be whole days, months or years/],
    [
      "less than a partition",
      { bars: { keep_for: "5 days" } },
      engine === "plain"
        ? /cannot be kept for 5 days in partitions of one month/
        : /cannot be kept for 5 days in partitions of 7 days/,
    ],
  ])("refuses %s in one sentence", async (_, content, message) => {
    const { code, stderr } = await run(["policies", "apply", await file(content)]);
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^mds: .*\(policy_refused\)\n$/);
  });

  it("refuses a file that is not there", async () => {
    const { code, stderr } = await run(["policies", "apply", "none.json"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^mds: none\.json cannot be read: .*\(file_unreadable\)\n$/);
  });
});

describe("MDS_ENGINE", () => {
  it("is refused in one sentence where it cannot be", async () => {
    const other = engine === "plain" ? "timescale" : "plain";
    const { code, stderr } = await run(["migrate"], { MDS_ENGINE: other, ADMIN_DATABASE_URL: database.adminUrl });
    expect(code).toBe(1);
    expect(stderr).toMatch(
      new RegExp(`^mds: MDS_ENGINE is "${other}", but .* made for the engine "${engine}"; .*\\(engine_refused\\)\n$`),
    );
    expect((await run(["migrate"], { MDS_ENGINE: "oracle" })).stderr).toMatch(/MDS_ENGINE/);
    expect((await run(["migrate"], { MDS_ENGINE: engine })).code).toBe(0);
  });

  it("shows in the schema's version", async () => {
    expect((await run(["schema-version"])).stdout).toMatch(new RegExp(` on the ${engine} engine \\(PostgreSQL \\d`));
    expect(JSON.parse((await run(["schema-version", "--json"])).stdout)).toMatchObject({ engine });
  });
});
