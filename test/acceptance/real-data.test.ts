/**
 * Real bars, loaded and read back to the last digit. The data lies beside the project and is not part of it: where it
 * is absent these tests are skipped, and say so.
 */
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CommandResult, mds, scratchFolder } from "../support/mds-command.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const DATA = fileURLToPath(new URL("../../../shared/data/", import.meta.url));
const files = existsSync(DATA) ? (await readdir(DATA)).filter((name) => /^bars-.*\.csv$/.test(name)) : [];

/** Daily bars since 1998 are 1,400 chunks on TimescaleDB, which an older version and a busy machine take a minute to make. */
const LOADING_MS = 240_000;

describe.skipIf(files.length > 0)("real data", () => {
  it("is absent, so that no real bars were loaded", ({ skip }) => skip(`There is no file ${DATA}bars-*.csv.`));
});

describe.runIf(files.length > 0)("real data", () => {
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

  const run = (...args: string[]): Promise<CommandResult> =>
    mds(args, { cwd: scratch.path, env: { MDS_DSN: database.url } });

  it.each(files)(
    "%s is read back exactly, and loading it again changes nothing",
    { timeout: LOADING_MS },
    async (name) => {
      const [, vendor = "", timeframe = ""] = /^bars-(.*)-(\w+)\.csv$/.exec(name) ?? [];
      const args = ["ingest", "bars", join(DATA, name), "--set", `vendor=${vendor},timeframe=${timeframe}`, "--json"];
      const lines = (await readFile(join(DATA, name), "utf8")).trimEnd().split("\n").slice(1);
      const first = await run(...args);
      expect(first.code).toBe(0);
      expect(totalOf(first)).toMatchObject({ read: lines.length, inserted: lines.length, rejected: 0 });

      const query = ["query", "bars", "--vendor", vendor, "--timeframe", timeframe, "--format", "csv"];
      const { code, stdout } = await run(...query);
      expect(code).toBe(0);
      expect(stdout.trimEnd().split("\n").slice(1)).toEqual(
        lines.map((line) => expectedLine(line, vendor, timeframe)).sort(),
      );

      expect(totalOf(await run(...args))).toMatchObject({ inserted: 0, updated: 0, unchanged: lines.length });
      expect((await run(...query)).stdout).toBe(stdout);
    },
  );
});

function totalOf({ stdout }: CommandResult): unknown {
  return (JSON.parse(stdout) as { total: unknown }).total;
}

/** ts,symbol,open,… becomes vendor,symbol,timeframe,ts,open,… with empty optional columns, which also sorts by series and time. */
function expectedLine(line: string, vendor: string, timeframe: string): string {
  const [ts, symbol, ...values] = line.split(",");
  return [vendor, symbol, timeframe, ts, ...values, "", ""].join(",");
}
