/** Dumps and restores of every dataset through the real command: the same bytes again, whole files or none. */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import fc from "fast-check";
import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { openStore } from "../../src/client/open-store.ts";
import { DATASET_NAMES } from "../../src/datasets/registry.ts";
import { ROWS } from "../support/hostile-rows.ts";
import {
  type CommandResult,
  MDS,
  mds,
  type RunningCommand,
  scratchFolder,
  startMds,
  startProgram,
} from "../support/mds-command.ts";
import { startDatabaseProxy } from "../support/tcp-proxy.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const TENANTS = ["default", "empty-1", "empty-2", "empty-3", "empty-4"] as const;
const ROWS_EACH = 60;

let database: TestDatabase;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;

/** A JSON value of a megabyte in as few characters as possible: what a line has to have room for. */
const longText = "漢".repeat(900_000);

beforeAll(async () => {
  database = await createTestDatabase();
  scratch = await scratchFolder();
  for (const tenant of TENANTS.slice(1)) await mds(["tenant", "create", tenant], { env: { MDS_DSN: database.url } });
  const store = await openStore({ url: database.url });
  for (const name of DATASET_NAMES) {
    const rows = fc.sample(ROWS[name], { numRuns: ROWS_EACH, seed: 7 }).map((row) => ({ vendor: 'v "1",\\n', ...row }));
    expect((await store.dataset(name).upsert(rows)).rejections).toEqual([]);
  }
  const long = { vendor: "long", symbol: "A", name: "n", ts: 1n, value: 1, metadata: { text: longText } };
  await store.signals.upsert([long]);
  await store.close();
});

afterAll(async () => {
  await database.drop();
  await scratch.remove();
});

const newFolder = (): Promise<string> => mkdtemp(join(scratch.path, "dump-"));
const run = (args: string[], folder: string, tenant = "default", input: string | Buffer = ""): Promise<CommandResult> =>
  mds(args, { cwd: folder, env: { MDS_DSN: database.url, MDS_TENANT_ID: tenant }, input });
const plain = (name: string, bytes: Buffer): Buffer =>
  name.endsWith(".gz") ? gunzipSync(bytes) : name.endsWith(".zst") ? zstdDecompressSync(bytes) : bytes;
const hash = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

describe("R19 dump, restore into an empty tenant, dump", () => {
  it.each([
    ["csv", "empty-1"],
    ["ndjson", "empty-2"],
    ["csv.zst", "empty-3"],
    ["ndjson.gz", "empty-4"],
  ])("gives identical files of all datasets as %s", async (extension, tenant) => {
    const folder = await newFolder();
    const first = await run(["dump", "all", `first/{dataset}.${extension}`, "--json"], folder);
    expect(first.code).toBe(0);
    const { files, rows } = JSON.parse(first.stdout) as { files: { rows: number; file: string }[]; rows: number };
    expect(files.map(({ file }) => file)).toEqual(DATASET_NAMES.map((name) => `first/${name}.${extension}`));
    expect(rows).toBeGreaterThan(DATASET_NAMES.length * ROWS_EACH * 0.9);
    for (const [at, name] of DATASET_NAMES.entries()) {
      const restored = await run(["restore", name, `first/${name}.${extension}`, "--json"], folder, tenant);
      expect(restored).toMatchObject({ code: 0 });
      expect(JSON.parse(restored.stdout)).toMatchObject({ total: { inserted: files[at]!.rows, rejected: 0 } });
    }
    expect((await run(["dump", "all", `second/{dataset}.${extension}`], folder, tenant)).code).toBe(0);
    for (const name of DATASET_NAMES) {
      const [before, after] = await Promise.all(
        ["first", "second"].map((part) => readFile(join(folder, part, `${name}.${extension}`))),
      );
      expect(hash(after!), name).toBe(hash(before!));
      expect(plain(extension, after!).length).toBeGreaterThan(1_000);
    }
  });

  it("changes nothing when it is restored where it came from", async () => {
    const folder = await newFolder();
    await run(["dump", "news", "news.ndjson.gz"], folder);
    const again = await run(["restore", "news", "news.ndjson.gz", "news.ndjson.gz", "--json"], folder);
    expect(JSON.parse(again.stdout)).toMatchObject({ total: { inserted: 0, updated: 0, rejected: 0 } });
  });
});

describe("R20 standard output and input", () => {
  it("carry a dump, and no file is called -", async () => {
    const folder = await newFolder();
    await run(["dump", "fundamentals", "f.csv"], folder);
    const csv = await run(["dump", "fundamentals", "-", "--format", "csv"], folder);
    expect(csv.stdout).toBe(await readFile(join(folder, "f.csv"), "utf8"));
    expect(csv.stderr).toMatch(/^Dumped \d+ rows in [\d.]+ s, [\d,]+ rows\/s\.\n$/);
    const ndjson = await run(["dump", "fundamentals", "-"], folder);
    expect(ndjson.stdout).toMatch(/^\{"vendor":"v \\"1\\",\\\\n","symbol"/);
    for (const unchanged of [/[1-9]\d* unchanged/, /[1-9]\d* unchanged/]) {
      const restored = await run(["restore", "fundamentals", "-"], folder, "default", ndjson.stdout);
      expect(restored).toMatchObject({ code: 0, stderr: expect.stringMatching(unchanged) });
    }
    expect(await readdir(folder)).toEqual(["f.csv"]);
  });

  it.runIf(process.platform === "linux")("that cannot be written ends with 1", async () => {
    const command = `exec "$0" "$@" > /dev/full`;
    const args = ["-c", command, process.execPath, MDS, "dump", "bars", "-"];
    const running = startProgram("/bin/sh", args, { env: { MDS_DSN: database.url } });
    running.child.stdin.end();
    const { code, stderr } = await running.done;
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/^mds: .*\(file_unwritable\)\n$/) });
  });

  it("whose reader goes away end quietly", async () => {
    const args = ["-c", `"$0" "$@" | head -n 1`, process.execPath, MDS, "dump", "signals", "-"];
    const running = startProgram("/bin/sh", args, { env: { MDS_DSN: database.url } });
    running.child.stdin.end();
    const { code, stdout, stderr } = await running.done;
    expect({ code, stderr: stderr.replace(/^Dumped .*\n/, "") }).toEqual({ code: 0, stderr: "" });
    expect(stdout.split("\n")).toHaveLength(2);
  });
});

describe("names", () => {
  it("are made of the filters, with ALL, MIN and MAX where there is none", async () => {
    const folder = await newFolder();
    await run(["dump", "bars"], folder);
    await run(["dump", "options", "--vendor", "x", "--symbol", "a/b", "--start", "2024-01-02T15:30:00.5Z"], folder);
    await run(["dump", "signals", "{name}-{symbol}.csv", "--name", "..", "--symbol", "A", "--symbol", "B+C"], folder);
    const made = await readdir(folder);
    expect(made.toSorted()).toEqual([
      "%2E.-A+B%2BC.csv",
      "bars-ALL-ALL-ALL-MIN-MAX.ndjson.gz",
      "options-x-a%2Fb-ALL-20240102T153000.5Z-MAX.ndjson.gz",
    ]);
  });

  it("of nothing found are empty files, with a header where there is one", async () => {
    const folder = await newFolder();
    const { code, stderr } = await run(["dump", "bars", "none.csv", "--symbol", "none"], folder);
    expect(code).toBe(0);
    expect(stderr).toMatch(/none\.csv: 0 rows, .*\nDumped 0 rows .*\nNo bars match\.\n$/);
    expect(await readFile(join(folder, "none.csv"), "utf8")).toMatch(/^vendor,symbol,timeframe,ts,[a-z_,]+\n$/);
    await run(["dump", "bars", "none.ndjson.zst", "--symbol", "none"], folder);
    expect(zstdDecompressSync(await readFile(join(folder, "none.ndjson.zst"))).length).toBe(0);
    for (const name of ["none.csv", "none.ndjson.zst"]) {
      expect(await run(["restore", "bars", name], folder)).toMatchObject({ code: 0 });
    }
  });

  it("of files that exist are replaced whole, and links stay links", async () => {
    const folder = await newFolder();
    await writeFile(join(folder, "real.csv"), "old");
    await symlink("real.csv", join(folder, "link.csv"));
    expect((await run(["dump", "news", "link.csv"], folder)).code).toBe(0);
    expect(await readFile(join(folder, "real.csv"), "utf8")).toMatch(/^vendor,published_at,/);
    expect((await readdir(folder)).toSorted()).toEqual(["link.csv", "real.csv"]);
  });

  it("of what is no file are refused", async () => {
    const folder = await newFolder();
    await mkdir(join(folder, "folder.csv"));
    await symlink("/dev/full", join(folder, "device.csv"));
    await writeFile(join(folder, "file"), "");
    for (const name of ["folder.csv", "device.csv", "file/x.csv"]) {
      const { code, stderr } = await run(["dump", "news", name], folder);
      expect({ name, code, stderr }).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/^mds: .* cannot be written: .*\(file_unwritable\)\n$/),
      });
    }
  });
});

describe("a dump that takes long, or does not come to its end", () => {
  let blocker: pg.Client;

  afterEach(async () => {
    await blocker.end();
  });

  /** A dump of everything that has written bars and waits for options, which somebody has locked. */
  async function blockedDump(folder: string, url = database.url): Promise<RunningCommand> {
    blocker = new pg.Client({ connectionString: database.adminUrl });
    await blocker.connect();
    await blocker.query("begin");
    await blocker.query("lock table store.options_data in access exclusive mode");
    await writeFile(join(folder, "bars.ndjson"), "old");
    const running = startMds(["dump", "all", "{dataset}.ndjson"], { cwd: folder, env: { MDS_DSN: url } });
    onTestFinished(() => void running.child.kill("SIGKILL"));
    await vi.waitFor(
      async () => expect((await readdir(folder)).filter((name) => name.endsWith(".tmp"))).toHaveLength(2),
      { timeout: 20_000, interval: 20 },
    );
    return running;
  }

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("because of %s leaves no file and the old ones as they were", async (signal, exitCode) => {
    const folder = await newFolder();
    const running = await blockedDump(folder);
    running.child.kill(signal);
    const { code, stdout, stderr } = await running.done;
    expect({ code, stdout, stderr }).toEqual({ code: exitCode, stdout: "", stderr: "Stopped; no file was written.\n" });
    expect(await readdir(folder)).toEqual(["bars.ndjson"]);
    expect(await readFile(join(folder, "bars.ndjson"), "utf8")).toBe("old");
  });

  it("at once has all datasets as they were when it began", async () => {
    const folder = await newFolder();
    const running = await blockedDump(folder);
    const row = ["--vendor", "late", "--symbol", "A", "--name", "n", "--ts", "2024-01-01T00:00:00Z", "--value", "1"];
    expect(await run(["write", "signal", ...row], folder)).toMatchObject({ stderr: "Inserted.\n" });
    await blocker.query("rollback");
    expect(await running.done).toMatchObject({ code: 0 });
    await database.sql(
      "delete from store.signals_data d using store.signals_series s where s.vendor = 'late' and d.series_id = s.series_id",
    );
    expect((await readdir(folder)).toSorted()).toEqual(DATASET_NAMES.map((name) => `${name}.ndjson`).toSorted());
    expect(await readFile(join(folder, "signals.ndjson"), "utf8")).not.toContain('"late"');
  });

  it("because it was killed leaves no half file under the name that was asked for", async () => {
    const folder = await newFolder();
    const running = await blockedDump(folder);
    running.child.kill("SIGKILL");
    await running.done;
    const left = await readdir(folder);
    expect(left.filter((name) => !/^\.mds-\d+-[0-9a-f]{8}\.tmp$/.test(name))).toEqual(["bars.ndjson"]);
    expect(await readFile(join(folder, "bars.ndjson"), "utf8")).toBe("old");
  });

  it("because the database goes away ends with 1 and one sentence, and leaves no file", async () => {
    const folder = await newFolder();
    const proxy = await startDatabaseProxy(database.url);
    const running = await blockedDump(folder, proxy.url);
    proxy.cut();
    const { code, stderr } = await running.done;
    await proxy.close();
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/^mds: .*\(database_unavailable\)\n$/) });
    expect(await readdir(folder)).toEqual(["bars.ndjson"]);
  });
});

describe("a file that no dump wrote", () => {
  it("is refused by restore, which takes all columns under their own names", async () => {
    const folder = await newFolder();
    await writeFile(join(folder, "x.csv"), "vendor,symbol,name,ts,value\nv,A,n,2024-01-01T00:00:00Z,1\n");
    const { code, stderr } = await run(["restore", "signals", "x.csv"], folder);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^mds: x\.csv has no column for score and metadata; .*mds ingest\..* \(file_columns\)\n$/);
    await writeFile(
      join(folder, "x.ndjson"),
      '{"provider":"v","symbol":"A","name":"n","ts":"2024-01-01T00:00:00Z","value":1}\n',
    );
    const lines = await run(["restore", "signals", "x.ndjson"], folder);
    expect(lines).toMatchObject({ code: 3, stderr: expect.stringMatching(/field_unknown \(1\)[\s\S]*"provider"/) });
    await writeFile(
      join(folder, "y.ndjson"),
      '{"vendor":"v","symbol":"A","name":"n","ts":"2024-01-01T00:00:00Z","value":1}\n',
    );
    const short = await run(["restore", "signals", "y.ndjson"], folder);
    expect(short).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/field_missing \(1\)[\s\S]*score, metadata/),
    });
  });

  it("costs only its bad lines", async () => {
    const folder = await newFolder();
    const { stdout } = await run(["dump", "bars", "-"], folder);
    await writeFile(join(folder, "cut.ndjson"), `${stdout}{"vendor":"v"\n`);
    const { code, stderr } = await run(["restore", "bars", "cut.ndjson", "--rejects", "r.ndjson"], folder);
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringMatching(/json_invalid \(1\)/) });
    expect(await readFile(join(folder, "r.ndjson"), "utf8")).toMatch(/^\{"line":\d+,"code":"json_invalid"/);
  });
});
