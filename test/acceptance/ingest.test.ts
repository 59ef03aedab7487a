/** Loading files that are as they should be, or nearly. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { BAR_HEADER, barCells, barFile, barLines } from "../support/bar-lines.ts";
import { type CommandResult, mds, scratchFolder } from "../support/mds-command.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const SET = ["--set", "vendor=test", "--set", "timeframe=1m"];

let database: TestDatabase;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;

beforeAll(async () => {
  database = await createTestDatabase();
  scratch = await scratchFolder();
});

afterEach(async () => {
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
const ingest = (args: string[], input: string | Buffer = ""): Promise<CommandResult> =>
  mds(["ingest", "bars", ...args], { cwd: scratch.path, env: { MDS_DSN: database.url }, input });
const stored = async (): Promise<number> =>
  (await database.sql<{ n: number }>("select count(*)::int4 as n from store.bars_data"))[0]!.n;
const counts = (inserted: number, unchanged = 0, rejected = 0) => ({
  read: inserted + unchanged + rejected,
  inserted,
  updated: 0,
  unchanged,
  superseded: 0,
  rejected,
});

describe("a file", () => {
  it.each([
    ["plain CSV", barFile(200)],
    ["CSV with a byte order mark and CRLF", `\ufeff${barFile(200).replaceAll("\n", "\r\n")}`],
    ["CSV without a last line feed", barFile(200).trimEnd()],
    ["gzip, whatever its name", gzipSync(barFile(200))],
    ["zstd", zstdCompressSync(barFile(200))],
    ["NDJSON", Array.from({ length: 200 }, (_, at) => jsonBar(at)).join("")],
  ])("is loaded as %s, and the second time changes nothing", async (_kind, content) => {
    const name = await file("bars.txt", content);
    const first = await ingest([name, ...SET, "--json"]);
    expect(first).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^bars\.txt: 200 rows in .* 200 inserted, .*\n$/),
    });
    expect(JSON.parse(first.stdout)).toEqual({
      dry_run: false,
      files: [{ file: "bars.txt", ...counts(200), elapsed_ms: expect.any(Number) }],
      total: counts(200),
      rejections: [],
    });
    const again = await ingest([name, ...SET, "--json"]);
    expect(again.code).toBe(0);
    expect(JSON.parse(again.stdout)).toMatchObject({ total: counts(0, 200) });
    expect(await stored()).toBe(200);
  });

  it("R20 is read from standard input, plain and compressed", async () => {
    expect(await ingest(["-", ...SET], barFile(50))).toMatchObject({
      code: 0,
      stdout: "",
      stderr: expect.stringMatching(/^-: 50 rows /),
    });
    expect((await ingest(["-", ...SET], gzipSync(barFile(80)))).stderr).toMatch(/30 inserted, 0 updated, 50 unchanged/);
    expect(await stored()).toBe(80);
  });

  it("R12, R16 says of rows of one key that the last one won", async () => {
    const [ts, symbol] = barCells(0);
    const twice = `${BAR_HEADER}\n${ts},${symbol},1,1,1,1,1\n${ts},${symbol},2,2,2,2,2\n`;
    const { code, stderr } = await ingest([await file("twice.csv", twice), ...SET]);
    expect(code).toBe(0);
    expect(stderr).toContain("2 rows in");
    expect(stderr).toContain("1 inserted, 0 updated, 0 unchanged, 1 superseded, 0 rejected.");
    expect(await database.sql("select close_price from store.bars_data")).toEqual([{ close_price: 2 }]);
    const changed = await file("twice.csv", `${BAR_HEADER}\n${ts},${symbol},3,3,3,3,3\n`);
    expect((await ingest([changed, ...SET])).stderr).toContain("0 inserted, 1 updated, 0 unchanged");
  });

  it("may be empty, or hold no more than its header", async () => {
    for (const content of ["", `${BAR_HEADER}\n`]) {
      const { code, stderr } = await ingest([await file("empty.csv", content), ...SET]);
      expect(code).toBe(0);
      expect(stderr).toMatch(/^empty\.csv: 0 rows /);
    }
  });

  it("is loaded with columns of other names, left out, mapped and set", async () => {
    const lines = ["Date,Ticker,Open,High,Low,Close,Vol,Note", "2024-03-10 09:30,aapl,1,2,0.5,1.5,7,x"];
    const name = await file("other.csv", `${lines.join("\n")}\n`);
    const columns = ["--map", "ts=Date,volume=Vol", "--ignore-columns", "Note"];
    const { code, stderr } = await ingest([name, ...columns, ...SET, "--timezone", "America/New_York", "--upper-case"]);
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining("1 inserted") });
    expect(
      await database.sql(
        "select symbol, to_char(ts at time zone 'UTC', 'HH24:MI') as time from store.bars_data join store.bars_series using (series_id)",
      ),
    ).toEqual([{ symbol: "AAPL", time: "13:30" }]);
  });

  it("R10 without a zone is rejected line by line, unless one is named", async () => {
    const name = await file("local.csv", `${BAR_HEADER}\n2024-01-02 09:30,AAA,1,1,1,1,1\n`);
    const { code, stderr } = await ingest([name, ...SET]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/time_zone_missing \(1\)\n {4}line 2: ts is .*--timezone/);
    expect((await ingest([name, ...SET, "--timezone", "UTC"])).code).toBe(0);
  });

  it("is checked and not written with --dry-run, without any database", async () => {
    const name = await file("dry.csv", `${barFile(20)}2024-01-01T00:00:00Z,AAA,x,1,1,1,1\n`);
    const args = ["ingest", "bars", name, ...SET, "--dry-run", "--json"];
    const { code, stdout, stderr } = await mds(args, {
      cwd: scratch.path,
      env: { MDS_DSN: "postgres://u:p@127.0.0.1:1/x" },
    });
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({ dry_run: true, total: { read: 21, inserted: 0, rejected: 1 } });
    expect(stderr).toContain("20 good, 1 rejected");
    expect(stderr).toContain("nothing was written");
    expect(await stored()).toBe(0);
  });
});

describe("many files", () => {
  it("are found by a pattern that the shell left alone, in order of name, each once", async () => {
    await mkdir(join(scratch.path, "many/deep.csv"), { recursive: true });
    for (const [at, name] of ["b.csv", "a.csv", "c.csv"].entries()) {
      await file(`many/${name}`, `${BAR_HEADER}\n${barLines(at * 10, at * 10 + 10)}`);
    }
    const { code, stdout, stderr } = await ingest(["many/*.csv", "many/a.csv", ...SET, "--json"]);
    expect(code).toBe(0);
    const { files, total } = JSON.parse(stdout) as { files: { file: string }[]; total: object };
    expect(files.map((one) => one.file)).toEqual(["many/a.csv", "many/b.csv", "many/c.csv"]);
    expect(total).toEqual(counts(30));
    expect(stderr).toMatch(/Together 30 rows: 30 inserted, .*\n$/);
  });

  it("R20 and the second one on the same connection is loaded like the first", async () => {
    const names = [await file("one.csv", barFile(10)), await file("two.csv", barFile(10, "BBB"))];
    expect(await ingest([...names, ...SET])).toMatchObject({ code: 0 });
    expect(await stored()).toBe(20);
  });
});

describe("bad lines", () => {
  const broken = [
    BAR_HEADER,
    barCells(0).join(","),
    "2024-01-01T00:01:00Z,AAA,1,0.5,1,1,1",
    "2024-01-01T00:02:00Z,AAA,1,1,1",
    '2024-01-01T00:03:00Z,"AAA,1,1,1,1,1',
    "2024-01-01T00:04:00Z,AAA,0.1234567890123456789,1,0,1,1",
    "2024-01-01T00:05:00Z,AAA,1,1,1,1,-1",
    barCells(6).join(","),
  ].join("\n");

  it("cost themselves alone, and are written to the rejects file with their numbers", async () => {
    const name = await file("broken.csv", broken);
    const { code, stdout, stderr } = await ingest([name, ...SET, "--rejects", "rejects.ndjson", "--json"]);
    expect(code).toBe(3);
    expect(await stored()).toBe(2);
    const rejects = (await readFile(join(scratch.path, "rejects.ndjson"), "utf8"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { line: number; code: string; error: string; row: unknown })
      .sort((a, b) => a.line - b.line);
    expect(rejects.map(({ line, code: reason }) => [line, reason])).toEqual([
      [3, "bar_impossible"],
      [4, "csv_invalid"],
      [5, "csv_invalid"],
      [6, "number_not_exact"],
      [7, "number_out_of_range"],
    ]);
    expect(rejects[0]!.row).toMatchObject({ vendor: "test", ts: "2024-01-01T00:01:00Z", high_price: "0.5" });
    expect(rejects[1]!.row).toBe("2024-01-01T00:02:00Z,AAA,1,1,1");
    expect(Object.keys(rejects[0]!)).toEqual(["line", "code", "error", "row"]);
    expect(JSON.parse(stdout)).toMatchObject({ total: counts(2, 0, 5) });
    expect(stderr).toMatch(/Rejected by reason:\n/);
    expect(stderr).toMatch(/ {2}csv_invalid \(2\)\n {4}line 4: .*\n {4}line 5: /);
    expect(stderr).toMatch(/ {2}bar_impossible \(1\)\n {4}line 3: low_price 1 is above/);
  });

  it("are shown no further than the first ten, and all counted", async () => {
    const bad = Array.from({ length: 25 }, (_, at) => `2024-01-01T00:00:${String(at).padStart(2, "0")}Z,AAA,x,1,1,1,1`);
    const name = await file("many-bad.csv", `${BAR_HEADER}\n${bad.join("\n")}\n`);
    const { code, stdout, stderr } = await ingest([name, ...SET, "--json"]);
    expect(code).toBe(3);
    const { total, rejections } = JSON.parse(stdout) as { total: { rejected: number }; rejections: { line: number }[] };
    expect(total.rejected).toBe(25);
    expect(rejections.map(({ line }) => line)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(stderr).toContain("number_invalid (25)");
    expect(stderr.match(/line \d+:/g)).toHaveLength(10);
  });

  it("of several files carry the file's name", async () => {
    const names = [await file("good.csv", barFile(3)), await file("bad.csv", `${BAR_HEADER}\nx,AAA,1,1,1,1,1\n`)];
    const { code, stderr } = await ingest([...names, ...SET, "--rejects", "named.ndjson"]);
    expect(code).toBe(3);
    expect(stderr).toContain("bad.csv line 2: ts is");
    expect(JSON.parse(await readFile(join(scratch.path, "named.ndjson"), "utf8"))).toMatchObject({
      file: "bad.csv",
      line: 2,
    });
  });

  it("that lack a part of the key say how to give it", async () => {
    const { code, stderr } = await ingest(["-"], jsonBar(0));
    expect(code).toBe(3);
    expect(stderr).toMatch(/field_missing \(1\)\n.*vendor, timeframe.*\n.*--set vendor=NAME/);
  });

  it("that only the database can judge keep their numbers", async () => {
    const rows = [0, 1, 2].map((minute) => barCells(minute));
    const complete = rows.slice(0, 2).map((cells) => cells.join(","));
    await ingest([await file("complete.csv", `${BAR_HEADER}\n${complete.join("\n")}\n`), ...SET]);
    const partial = rows.map(([ts, symbol], at) => `${ts},${symbol},${at === 1 ? 1_000 : 100.5}`);
    const name = await file("partial.csv", `ts,symbol,close\n${partial.join("\n")}\n`);
    const { code, stdout } = await ingest([name, ...SET, "--json"]);
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({
      rejections: [
        { line: 3, code: "bar_impossible" },
        { line: 4, code: "field_missing" },
      ],
    });
  });
});

function jsonBar(minute: number): string {
  const [ts, symbol, open, high, low, close, volume] = barCells(minute);
  const prices = { open: Number(open), high: Number(high), low: Number(low), close: Number(close) };
  return `${JSON.stringify({ ts, symbol, ...prices, volume: Number(volume) })}\n`;
}
