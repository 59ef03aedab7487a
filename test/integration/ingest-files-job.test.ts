import { execFileSync } from "node:child_process";
import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import type { BackfillAccess } from "../../src/jobs/backfill/backfill-access.ts";
import { ingestFilesJob } from "../../src/jobs/backfill/ingest-files-job.ts";
import { barsCsv, collect } from "../support/bars.ts";
import { type AttemptOptions, attemptJob } from "../support/job-context.ts";
import { scratchFolder } from "../support/mds-command.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

/** Makes a FIFO, which Node cannot. */
const MKFIFO = "/usr/bin/mkfifo";

let database: TestDatabase;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;
let inside: string;
let outside: string;
let store: Store;
let tenants = 0;
let tenant: string;

beforeAll(async () => {
  database = await createTestDatabase();
  scratch = await scratchFolder();
  inside = join(scratch.path, "inside");
  outside = join(scratch.path, "outside");
  await Promise.all([mkdir(inside), mkdir(outside)]);
});

beforeEach(async () => {
  tenant = `t${++tenants}`;
  await database.sql("select mds.create_tenant($1, $1)", [tenant]);
  await store?.close();
  store = await openStore({ url: database.url, tenant });
});

afterAll(async () => {
  await store.close();
  await scratch.remove();
  await database.drop();
});

const access = (): BackfillAccess => ({ dirs: [inside], hosts: [], credentials: new Map() });

const run = (files: readonly string[], input: object = {}, options: AttemptOptions = {}) =>
  attemptJob(database, ingestFilesJob(access()), { tenant, dataset: "bars", files: [...files], ...input }, options);

const stored = async (symbol = "AAA") => collect(store.bars.read({ symbol }));
const file = async (name: string, content: string | Buffer): Promise<string> => {
  await writeFile(join(inside, name), content);
  return join(inside, name);
};

describe("files", () => {
  it("are read plain and compressed, by name and by pattern, and everything is counted", async () => {
    await file("p-1.csv", barsCsv(0, 10));
    await file("p-2.csv.gz", gzipSync(barsCsv(10, 10)));
    const zstd = await file("z.csv.zst", zstdCompressSync(barsCsv(5, 10)));
    const { result, error, reports } = await run([join(inside, "p-*"), zstd]);
    expect(error).toBeUndefined();
    expect(result).toMatchObject({
      files: { total: 3, read: 3, failed: 0 },
      rows: { read: 30, inserted: 20, unchanged: 10, rejected: 0 },
      min_ts: "2024-01-02T14:30:00Z",
      max_ts: "2024-01-02T14:49:00Z",
      by_file: [{ file: join(inside, "p-1.csv"), inserted: 10 }, { inserted: 10 }, { unchanged: 10 }],
      by_file_left_out: 0,
      rejects: [],
    });
    expect(await stored()).toHaveLength(20);
    expect(reports.map(({ rows_written, symbols }) => [rows_written, symbols])).toEqual([
      [10, ["AAA"]],
      [10, undefined],
      [0, undefined],
    ]);
  });

  it("take formats, mapping, constants, zones and upper case", async () => {
    const path = await file("odd.csv", "When,Sym,O,H,L,C,V,Extra\n2024-07-01 09:30,abc,1,2,0.5,1.5,7,x\n");
    const { error, result } = await run([path], {
      format: "csv",
      map: {
        ts: "When",
        symbol: "Sym",
        open_price: "O",
        high_price: "H",
        low_price: "L",
        close_price: "C",
        volume: "V",
      },
      set: { vendor: "v", timeframe: "1m" },
      ignore_columns: ["Extra"],
      timezone: "America/New_York",
      upper_case: true,
    });
    expect(error).toBeUndefined();
    expect(result).toMatchObject({ rows: { inserted: 1 }, min_ts: "2024-07-01T13:30:00Z" });
    expect(await stored("ABC")).toHaveLength(1);
  });

  it("cost bad lines alone, of which the first hundred are listed with their reasons", async () => {
    const bad = Array.from({ length: 150 }, () => "test,AAA,1m,yesterday,1,1,1,1,1").join("\n");
    const { error, result } = await run([await file("bad.csv", `${barsCsv(0, 5)}${bad}\n`)]);
    expect(error).toBeUndefined();
    expect(result).toMatchObject({ rows: { read: 155, inserted: 5, rejected: 150 } });
    const { rejects } = result as { rejects: object[] };
    expect(rejects).toHaveLength(100);
    expect(rejects[0]).toEqual({
      file: join(inside, "bad.csv"),
      line: 7,
      code: "time_invalid",
      error: expect.stringContaining('"yesterday"'),
    });
  });

  it("that are not what they say fail alone, and then the job", async () => {
    const files = [
      await file("not.csv", gzipSync(barsCsv(0, 3)).subarray(0, 60)),
      await file("columns.csv", "a,b\n1,2\n"),
      await file("good.csv", barsCsv(0, 4)),
      join(inside, "missing.csv"),
      join(inside, "none-*.csv"),
    ];
    const { error, reports, checkpoint } = await run(files);
    expect(error).toMatchObject({
      code: "backfill_incomplete",
      retryable: false,
      message: expect.stringMatching(/^4 of 5 files could not be read to their end: .*And 1 more\.$/),
      details: {
        result: {
          files: { total: 5, read: 1, failed: 4 },
          rows: { inserted: 4 },
          failures: [
            { file: files[0], code: "file_truncated" },
            { code: "file_columns" },
            { code: "file_unreadable", message: expect.stringContaining("does not exist") },
            { code: "file_unreadable" },
          ],
        },
      },
    });
    expect(reports.at(-1)?.metadata).toMatchObject({ failed_files: [{ file: files[0] }, {}, {}, {}] });
    expect(await stored()).toHaveLength(4);
    // Asked for again, only those are read that failed.
    await file("columns.csv", barsCsv(4, 2));
    const again = await run(files, {}, { checkpoint });
    expect(again.error).toMatchObject({
      details: { result: { files: { read: 2, failed: 3 }, rows: { inserted: 6, unchanged: 0 } } },
    });
  });
});

describe("an attempt that is cut off", () => {
  it("is gone on from where it was, and ends as though it had not been", async () => {
    const ROWS = 250_000;
    const path = await file("large.csv", barsCsv(0, ROWS));
    const small = await file("small.csv", barsCsv(ROWS, 5));
    let saved = 0;
    const cut = await run(
      [path, small],
      {},
      {
        onCheckpoint: () => {
          if (++saved === 2) throw new Error("killed");
        },
      },
    );
    expect(cut.error).toMatchObject({ message: "killed" });
    const before = (cut.checkpoint as { started: { position: { counts: { inserted: number } } } }).started.position;
    expect(before.counts.inserted).toBeGreaterThan(150_000);
    const { error, result, reports } = await run([path, small], {}, { checkpoint: cut.checkpoint });
    expect(error).toBeUndefined();
    expect(result).toMatchObject({
      files: { total: 2, read: 2 },
      rows: { read: ROWS + 5, inserted: ROWS + 5, unchanged: 0, rejected: 0 },
      min_ts: "2024-01-02T14:30:00Z",
    });
    // What was counted before is not counted again.
    const counted = reports.reduce((sum, { rows_written: rows = 0 }) => sum + Number(rows), 0);
    expect(counted).toBe(ROWS + 5 - before.counts.inserted);
    const [row] = await database.sql<{ rows: string }>(
      "select count(*) as rows from store.bars_data d join store.bars_series s using (series_id) where s.tenant_id = $1",
      [store.tenantId],
    );
    expect(Number(row!.rows)).toBe(ROWS + 5);
  });

  it("reads a file anew that has become another one", async () => {
    const path = await file("changing.csv", barsCsv(0, 120_000));
    const cut = await run([path], {}, { onCheckpoint: () => Promise.reject(new Error("killed")) });
    expect(cut.checkpoint).toMatchObject({ started: { position: { counts: { read: expect.any(Number) } } } });
    await file("changing.csv", barsCsv(0, 10, "BBB"));
    const { result } = await run([path], {}, { checkpoint: cut.checkpoint });
    expect(result).toMatchObject({ rows: { read: 10, inserted: 10 } });
  });

  it("stops when it is told to, and keeps what was read", async () => {
    const stopping = new AbortController();
    const path = await file("stopped.csv", barsCsv(0, 120_000));
    const { error, checkpoint } = await run(
      [path],
      {},
      { signal: stopping.signal, onCheckpoint: () => stopping.abort() },
    );
    expect(error).toMatchObject({ code: "aborted" });
    expect((await run([path], {}, { checkpoint })).result).toMatchObject({ rows: { read: 120_000, unchanged: 0 } });
  });
});

describe("local files", () => {
  it.each([
    ["outside", () => join(outside, "x.csv"), /not below a folder/],
    ["up and out", () => `${inside}/../outside/x.csv`, /no "\.\."/],
    ["up in a pattern", () => `${inside}/{a,../../outside}/*.csv`, /no "\.\."/],
    ["by a folder's beginning", () => `${inside}-more/x.csv`, /not below a folder/],
    ["by a pattern above", () => `${scratch.path}/*/x.csv`, /not below a folder/],
    ["by a relative name", () => "inside/x.csv", /relative name/],
    ["by another scheme", () => `file://${inside}/x.csv`, /only http and https/],
  ])("%s are refused before the job is queued", async (_, name, reason) => {
    const job = ingestFilesJob(access());
    const input = { tenant, dataset: "bars", files: [name()], upper_case: false };
    const refusal = expect.objectContaining({ code: "backfill_refused", message: expect.stringMatching(reason) });
    expect(() => job.accept!(input)).toThrow(refusal);
    expect((await run([name()])).error).toEqual(refusal);
  });

  it("are all refused where no folder is named", () => {
    const job = ingestFilesJob({ ...access(), dirs: [] });
    const input = { tenant, dataset: "bars", files: [join(inside, "a.csv")], upper_case: false };
    expect(() => job.accept!(input)).toThrow(/may not be read: backfills read local files only below/);
  });

  it.each([
    [
      "a link that leads out",
      async (path: string) => {
        await writeFile(join(outside, "secret.csv"), barsCsv(0, 3));
        await symlink(join(outside, "secret.csv"), path);
      },
      /link that leads out/,
    ],
    ["a FIFO", async (path: string) => void execFileSync(MKFIFO, [path]), /no regular file/],
    ["a folder", (path: string) => mkdir(path), /no regular file/],
    ["a link to a device", (path: string) => symlink("/dev/zero", path), /link that leads out/],
    ["a link to what the kernel shows", (path: string) => symlink("/proc/self/environ", path), /link that leads out/],
  ])("%s is refused when it is looked at", async (_, make, reason) => {
    const path = join(inside, `bad-${tenant}`);
    await make(path);
    const { error } = await run([path]);
    expect(error).toMatchObject({
      code: "backfill_incomplete",
      details: { result: { failures: [{ code: "backfill_refused", message: expect.stringMatching(reason) }] } },
    });
    await rm(path, { recursive: true });
  });

  it("what the kernel shows is refused even below an allowed folder", async () => {
    const job = ingestFilesJob({ ...access(), dirs: ["/"] });
    const { error } = await attemptJob(database, job, { tenant, dataset: "bars", files: ["/proc/self/environ"] });
    expect(error).toMatchObject({ details: { result: { failures: [{ code: "backfill_refused" }] } } });
  });

  it("a folder to which a link leads out is not entered by a pattern, one inside is", async () => {
    await mkdir(join(outside, "deep"), { recursive: true });
    await writeFile(join(outside, "deep", "s.csv"), barsCsv(0, 3));
    await mkdir(join(inside, "w", "own"), { recursive: true });
    await writeFile(join(inside, "w", "own", "o.csv"), barsCsv(0, 2));
    await symlink(join(outside, "deep"), join(inside, "w", "leak"));
    await symlink(join(inside, "w", "own"), join(inside, "w", "near"));
    const { result } = await run([`${inside}/w/**/*.csv`]);
    expect(result).toMatchObject({ rows: { inserted: 2 } });
    expect(JSON.stringify(result)).not.toContain("s.csv");
    const named = await run([`${inside}/w/leak/*.csv`]);
    expect(named.error).toMatchObject({ code: "backfill_refused" });
  });

  it("an allowed folder may itself be reached by a link", async () => {
    await rename(await file("linked.csv", barsCsv(0, 2)), join(outside, "linked.csv"));
    await symlink(outside, join(scratch.path, "alias"));
    const job = ingestFilesJob({ ...access(), dirs: [join(scratch.path, "alias")] });
    const files = [join(scratch.path, "alias", "linked.csv"), join(scratch.path, "alias", "lin*.csv")];
    const { result, error } = await attemptJob(database, job, { tenant, dataset: "bars", files });
    expect(error).toBeUndefined();
    expect(result).toMatchObject({ rows: { inserted: 2 } });
  });
});
