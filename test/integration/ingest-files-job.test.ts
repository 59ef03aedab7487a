import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import type { BackfillAccess } from "../../src/jobs/backfill/backfill-access.ts";
import { ingestFilesJob } from "../../src/jobs/backfill/ingest-files-job.ts";
import { bar, collect } from "../support/bars.ts";
import { type AttemptOptions, attemptJob } from "../support/job-context.ts";
import { scratchFolder } from "../support/mds-command.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const HEADER = "vendor,symbol,timeframe,ts,open,high,low,close,volume";
const TOKEN_SETTING = "MDS_BACKFILL_CREDENTIAL_ARCHIVE";

let database: TestDatabase;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;
let inside: string;
let outside: string;
let server: Server;
let answer: RequestListener;
let host: string;
let store: Store;
let tenants = 0;
let tenant: string;

beforeAll(async () => {
  database = await createTestDatabase();
  scratch = await scratchFolder();
  inside = join(scratch.path, "inside");
  outside = join(scratch.path, "outside");
  await Promise.all([mkdir(inside), mkdir(outside)]);
  server = createServer((request, response) => answer(request, response)).listen(0, "127.0.0.1");
  await once(server, "listening");
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});

beforeEach(async () => {
  tenant = `t${++tenants}`;
  await database.sql("select mds.create_tenant($1, $1)", [tenant]);
  await store?.close();
  store = await openStore({ url: database.url, tenant });
});

afterAll(async () => {
  await store.close();
  server.closeAllConnections();
  server.close();
  await scratch.remove();
  await database.drop();
});

const access = (): BackfillAccess => ({
  dirs: [inside],
  hosts: [host],
  credentials: new Map([[TOKEN_SETTING, "let-me-in"]]),
});

const run = (files: readonly string[], input: object = {}, options: AttemptOptions = {}) =>
  attemptJob(database, ingestFilesJob(access()), { tenant, dataset: "bars", files: [...files], ...input }, options);

function csv(from: number, count: number, symbol = "AAA"): string {
  const lines = Array.from({ length: count }, (_, at) => {
    const { ts, ...row } = bar(from + at, { symbol });
    const time = new Date(Number((ts as bigint) / 1_000n)).toISOString();
    return [row.vendor, symbol, "1m", time, row.open_price, row.high_price, row.low_price, row.close_price, row.volume];
  });
  return `${[HEADER, ...lines.map((cells) => cells.join(","))].join("\n")}\n`;
}

const stored = async (symbol = "AAA") => collect(store.bars.read({ symbol }));
const file = async (name: string, content: string | Buffer): Promise<string> => {
  await writeFile(join(inside, name), content);
  return join(inside, name);
};

describe("files", () => {
  it("are read plain and compressed, by name and by pattern, and everything is counted", async () => {
    await file("p-1.csv", csv(0, 10));
    await file("p-2.csv.gz", gzipSync(csv(10, 10)));
    const zstd = await file("z.csv.zst", zstdCompressSync(csv(5, 10)));
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
    const { error, result } = await run([await file("bad.csv", `${csv(0, 5)}${bad}\n`)]);
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
      await file("not.csv", gzipSync(csv(0, 3)).subarray(0, 60)),
      await file("columns.csv", "a,b\n1,2\n"),
      await file("good.csv", csv(0, 4)),
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
    await file("columns.csv", csv(4, 2));
    const again = await run(files, {}, { checkpoint });
    expect(again.error).toMatchObject({
      details: { result: { files: { read: 2, failed: 3 }, rows: { inserted: 6, unchanged: 0 } } },
    });
  });
});

describe("an attempt that is cut off", () => {
  it("is gone on from where it was, and ends as though it had not been", async () => {
    const ROWS = 250_000;
    const path = await file("large.csv", csv(0, ROWS));
    const small = await file("small.csv", csv(ROWS, 5));
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
    const path = await file("changing.csv", csv(0, 120_000));
    const cut = await run([path], {}, { onCheckpoint: () => Promise.reject(new Error("killed")) });
    expect(cut.checkpoint).toMatchObject({ started: { position: { counts: { read: expect.any(Number) } } } });
    await file("changing.csv", csv(0, 10, "BBB"));
    const { result } = await run([path], {}, { checkpoint: cut.checkpoint });
    expect(result).toMatchObject({ rows: { read: 10, inserted: 10 } });
  });

  it("stops when it is told to, and keeps what was read", async () => {
    const stopping = new AbortController();
    const path = await file("stopped.csv", csv(0, 120_000));
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
        await writeFile(join(outside, "secret.csv"), csv(0, 3));
        await symlink(join(outside, "secret.csv"), path);
      },
      /link that leads out/,
    ],
    ["a FIFO", async (path: string) => void execFileSync("mkfifo", [path]), /no regular file/],
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
    await writeFile(join(outside, "deep", "s.csv"), csv(0, 3));
    await mkdir(join(inside, "w", "own"), { recursive: true });
    await writeFile(join(inside, "w", "own", "o.csv"), csv(0, 2));
    await symlink(join(outside, "deep"), join(inside, "w", "leak"));
    await symlink(join(inside, "w", "own"), join(inside, "w", "near"));
    const { result } = await run([`${inside}/w/**/*.csv`]);
    expect(result).toMatchObject({ rows: { inserted: 2 } });
    expect(JSON.stringify(result)).not.toContain("s.csv");
    const named = await run([`${inside}/w/leak/*.csv`]);
    expect(named.error).toMatchObject({ code: "backfill_refused" });
  });

  it("an allowed folder may itself be reached by a link", async () => {
    await rename(await file("linked.csv", csv(0, 2)), join(outside, "linked.csv"));
    await symlink(outside, join(scratch.path, "alias"));
    const job = ingestFilesJob({ ...access(), dirs: [join(scratch.path, "alias")] });
    const files = [join(scratch.path, "alias", "linked.csv"), join(scratch.path, "alias", "lin*.csv")];
    const { result, error } = await attemptJob(database, job, { tenant, dataset: "bars", files });
    expect(error).toBeUndefined();
    expect(result).toMatchObject({ rows: { inserted: 2 } });
  });
});

describe("URLs", () => {
  it("are fetched with the credential that the job names, which is shown nowhere", async () => {
    let seen: string | undefined;
    answer = (request, response) => {
      seen = request.headers.authorization;
      response.end(gzipSync(csv(0, 6)));
    };
    const url = `http://${host}/bars.csv.gz?key=hidden`;
    const { result, error, reports } = await run([url], { credentials: TOKEN_SETTING });
    expect(error).toBeUndefined();
    expect(seen).toBe("Bearer let-me-in");
    expect(result).toMatchObject({ rows: { inserted: 6 }, by_file: [{ file: `http://${host}/bars.csv.gz` }] });
    expect(JSON.stringify([result, reports.map(({ message }) => message)])).not.toMatch(/hidden|let-me-in/);
  });

  it.each([
    ["of another host", () => "http://other.example/x.csv", /not among MDS_BACKFILL_HOSTS/],
    ["of another port", () => "http://127.0.0.1:1/x.csv", /not among MDS_BACKFILL_HOSTS/],
    ["with credentials in them", () => `http://user:pass@${host}/x.csv`, /has credentials in it/],
    ["of another scheme", () => `ftp://${host}/x.csv`, /only http and https/],
  ])("%s are refused before the job is queued", (_, url, reason) => {
    const job = ingestFilesJob(access());
    const input = { tenant, dataset: "bars", files: [url()], upper_case: false };
    const error = expect.objectContaining({
      code: "backfill_refused",
      message: expect.stringMatching(reason),
    });
    expect(() => job.accept!(input)).toThrow(error);
    expect(() => job.accept!(input)).not.toThrow(/pass/);
  });

  it("with a credential that is not set are refused", () => {
    const job = ingestFilesJob(access());
    const input = {
      tenant,
      dataset: "bars",
      files: [`http://${host}/`],
      upper_case: false,
      credentials: "ADMIN_TOKEN",
    };
    expect(() => job.accept!(input)).toThrow(/There is no credential ADMIN_TOKEN/);
  });

  it("may redirect on their own host, and not to another one even where that is allowed", async () => {
    answer = (request, response) => {
      const to = { "/a": "/b", "/b": `http://${host}/c`, "/out": "http://localhost:80/x", "/loop": "/loop" }[
        request.url!
      ];
      if (to === undefined) response.end(csv(0, 2));
      else response.writeHead(302, { location: to }).end();
    };
    expect((await run([`http://${host}/a`])).result).toMatchObject({ rows: { inserted: 2 } });
    const job = ingestFilesJob({ ...access(), hosts: [host, "localhost"] });
    const files = [`http://${host}/out`, `http://${host}/loop`];
    const { error } = await attemptJob(database, job, { tenant, dataset: "bars", files });
    expect(error).toMatchObject({
      details: {
        result: {
          failures: [
            { code: "backfill_refused", message: expect.stringContaining("not the same host") },
            { code: "file_unreadable", message: expect.stringContaining("more than 5 times") },
          ],
        },
      },
    });
  });

  it("that say no fail for good; those that break are tried again, after the others were read", async () => {
    let isBroken = true;
    answer = (request, response) => {
      if (request.url === "/none") response.writeHead(404).end();
      else if (request.url === "/busy" && isBroken) response.writeHead(503).end();
      else if (request.url === "/cut" && isBroken) {
        response.writeHead(200, { "content-length": "100000" });
        response.write(csv(0, 50));
        setImmediate(() => response.destroy());
      } else response.end(csv(0, 100));
    };
    const files = ["/busy", "/cut", "/whole"].map((path) => `http://${host}${path}`);
    const { error, checkpoint } = await run(files);
    expect(error).toMatchObject({
      code: "source_unavailable",
      retryable: true,
      details: { result: { files: { read: 1, failed: 2 }, failures: [{ code: "source_unavailable" }, {}] } },
    });
    isBroken = false;
    const again = await run(files, {}, { checkpoint });
    expect(again.error).toBeUndefined();
    expect(again.result).toMatchObject({ files: { read: 3, failed: 0 }, rows: { read: 300 } });
    expect((await run([`http://${host}/none`])).error).toMatchObject({ code: "backfill_incomplete", retryable: false });
  });
});
