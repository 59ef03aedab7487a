/** Loading that does not come to its end: refused and cut files, a database that goes away, Ctrl-C, kill -9. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { BAR_HEADER, barFile, barLines } from "../support/bar-lines.ts";
import {
  type CommandResult,
  finished,
  mds,
  type RunningCommand,
  scratchFolder,
  startMds,
} from "../support/mds-command.ts";
import { startDatabaseProxy } from "../support/tcp-proxy.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const SET = ["--set", "vendor=test", "--set", "timeframe=1m"];
const ROWS_PER_BATCH = "100";
/** Several times what the pipe, the reader and two batches hold. */
const MANY = 20_000;

let database: TestDatabase;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;

beforeAll(async () => {
  database = await createTestDatabase();
  scratch = await scratchFolder();
});

beforeEach(async () => {
  await database.sql("delete from store.bars_data");
});

afterAll(async () => {
  await database.drop();
  await scratch.remove();
});

const file = async (name: string, content: string | Buffer): Promise<string> => {
  await writeFile(join(scratch.path, name), content);
  return name;
};
const start = (args: string[], url = database.url): RunningCommand =>
  startMds(["ingest", "bars", ...args, ...SET], { cwd: scratch.path, env: { MDS_DSN: url } });
const ingest = (args: string[], input: string | Buffer = ""): Promise<CommandResult> => finished(start(args), input);
const stored = async (): Promise<number> =>
  (await database.sql<{ n: number }>("select count(*)::int4 as n from store.bars_data"))[0]!.n;
const until = (condition: () => Promise<void> | void) => vi.waitFor(condition, { timeout: 20_000, interval: 20 });

/** A number that stderr says, after which comes `words`. */
function said(stderr: string, words: string): number {
  return Number(new RegExp(`([\\d,]+) ${words}`).exec(stderr)?.[1]?.replaceAll(",", ""));
}

/** Starts to load standard input and waits until some of it is stored; the input stays open. */
async function startedFromStdin(url = database.url): Promise<RunningCommand> {
  const running = start(["-", "--batch-rows", ROWS_PER_BATCH], url);
  running.child.stdin.write(barFile(MANY / 2));
  await until(async () => expect(await stored()).toBeGreaterThan(1_000));
  return running;
}

describe("a file that is not what it says", () => {
  it.each([
    ["nothing", undefined, "file_unreadable", /does not exist/],
    ["a ZIP archive", Buffer.concat([Buffer.from("PK\x03\x04"), Buffer.alloc(500, 1)]), "file_encoding", /ZIP/],
    ["UTF-16", Buffer.from(`\ufeff${barFile(5)}`, "utf16le"), "file_encoding", /UTF-16 .*iconv/],
    ["a JSON array", `[${JSON.stringify({ ts: 1 })}]`, "file_columns", /JSON array/],
    ["unknown columns", `${BAR_HEADER},color\n`, "file_columns", /"color".*--ignore-columns/],
    ["semicolons", `${BAR_HEADER.replaceAll(",", ";")}\n`, "file_columns", /semicolons/],
  ])(
    "is refused when it is %s, with one sentence, and the others are loaded",
    async (_kind, content, code, sentence) => {
      const name = "refused.csv";
      if (content !== undefined) await file(name, content);
      const result = await ingest([name, await file("good.csv", barFile(10))]);
      expect(result.code).toBe(1);
      expect(result.stderr.split("\n")[0]).toMatch(sentence);
      expect(result.stderr.split("\n")[0]).toMatch(new RegExp(`^mds: .*Nothing of it was written\\. \\(${code}\\)$`));
      expect(await stored()).toBe(10);
    },
  );

  it("is refused when it is a directory", async () => {
    await mkdir(join(scratch.path, "folder"), { recursive: true });
    const { code, stderr } = await ingest(["folder"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^mds: folder is a directory; .*\(file_unreadable\)\n$/);
  });

  it("names the flag that gives a missing column", async () => {
    const args = ["ingest", "bars", await file("no-vendor.csv", barFile(1))];
    const { code, stderr } = await mds(args, { cwd: scratch.path, env: { MDS_DSN: database.url } });
    expect(code).toBe(1);
    expect(stderr).toMatch(/no column for vendor and timeframe.*--set vendor=VALUE/);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  });

  it("R17 when it is half a gzip, has its whole lines written, and says how many", async () => {
    const whole = gzipSync(barFile(MANY));
    const half = await file("half.csv.gz", whole.subarray(0, whole.length / 2));
    const { code, stdout, stderr } = await ingest([half, await file("good.csv", barFile(10, "BBB")), "--json"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^mds: half\.csv\.gz breaks off .*\(file_truncated\)$/m);
    const written = said(stderr, "of its rows were written");
    expect(written).toBeGreaterThan(1_000);
    expect(await stored()).toBe(written + 10);
    expect(JSON.parse(stdout)).toMatchObject({
      files: [{ inserted: written, rejected: 0, error: { code: "file_truncated" } }, { inserted: 10 }],
    });
    const rest = await ingest([await file("whole.csv.gz", whole)]);
    expect(rest).toMatchObject({
      code: 0,
      stderr: expect.stringContaining(`${(MANY - written).toLocaleString("en-US")} inserted`),
    });
  });

  it("is not loaded at all when its rejects cannot be written", async () => {
    const name = await file("good.csv", barFile(10));
    for (const [rejects, code] of [
      ["no-such-folder/rejects", 1],
      [name, 2],
    ] as const) {
      expect(await ingest([name, "--rejects", rejects])).toMatchObject({ code });
    }
    expect(await stored()).toBe(0);
  });
});

describe("a database", () => {
  it("that goes away in the middle ends the run with what was written, and a second run completes it", async () => {
    const proxy = await startDatabaseProxy(database.url);
    const running = await startedFromStdin(proxy.url);
    proxy.cut();
    const { code, stderr } = await finished(running, barLines(MANY / 2, MANY));
    await proxy.close();
    expect(code).toBe(1);
    const last = stderr.trimEnd().split("\n").at(-1)!;
    expect(last).toMatch(/^mds: The database does not answer: .* rows were written; .*\(database_unavailable\)$/);
    const written = said(last, "of its rows were written");
    // The answer to one batch may have been lost on its way; no more.
    expect((await stored()) - written).toBeGreaterThanOrEqual(0);
    expect((await stored()) - written).toBeLessThanOrEqual(Number(ROWS_PER_BATCH));
    expect((await ingest(["-"], barFile(MANY))).code).toBe(0);
    expect(await stored()).toBe(MANY);
  });

  it("that ends our connections is reached again, and nothing is missing", async () => {
    const running = await startedFromStdin();
    const ended = await database.sql(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'mds ingest'",
    );
    expect(ended.length).toBeGreaterThan(0);
    const { code, stderr } = await finished(running, barLines(MANY / 2, MANY));
    expect({ code, stderr }).toMatchObject({
      code: 0,
      stderr: expect.stringContaining(`${MANY.toLocaleString("en-US")} rows`),
    });
    expect(await stored()).toBe(MANY);
  });
});

describe("Ctrl-C", () => {
  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("(%s) writes what was read, says how much, and ends with %i", async (signal, exitCode) => {
    const running = await startedFromStdin();
    running.child.kill(signal);
    const { code, stderr } = await running.done;
    expect(code).toBe(exitCode);
    expect(stderr).toContain("Stopping after the batch under way");
    expect(said(stderr, "inserted")).toBe(await stored());
    expect(stderr).not.toContain("    at ");
  });

  it("while nothing comes in ends at once", async () => {
    const sessions = () => database.sql("select from pg_stat_activity where application_name = 'mds ingest'");
    await until(async () => expect(await sessions()).toHaveLength(0));
    const running = start(["-"]);
    running.child.stdin.write(barFile(3));
    await until(async () => expect(await sessions()).toHaveLength(1));
    running.child.kill("SIGINT");
    expect(await running.done).toMatchObject({ code: 130, stdout: "" });
  });
});

describe("kill -9", () => {
  it("costs nothing that a second run does not bring", async () => {
    const running = await startedFromStdin();
    running.child.kill("SIGKILL");
    await running.done;
    expect((await ingest(["-"], barFile(MANY))).code).toBe(0);
    expect(await stored()).toBe(MANY);
  });
});
