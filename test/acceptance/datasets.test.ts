/** Every dataset through ingest, query and write: filters, formats, absent and null and empty, rejects. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DatasetName } from "../../src/datasets/registry.ts";
import { type CommandResult, mds, scratchFolder } from "../support/mds-command.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

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

const run = (args: string[], input: string | Buffer = ""): Promise<CommandResult> =>
  mds(args, { cwd: scratch.path, env: { MDS_DSN: database.url }, input });
const ingest = (dataset: DatasetName, input: string, ...flags: string[]) =>
  run(["ingest", dataset, "-", "--json", ...flags], input);
const totalOf = ({ stdout }: CommandResult) => (JSON.parse(stdout) as { total: Record<string, number> }).total;
const query = async (dataset: DatasetName, ...flags: string[]) =>
  JSON.parse((await run(["query", dataset, "--json", ...flags])).stdout) as Record<string, unknown>[];

/** For each dataset a file, the filters that tell its second row from the others, and that row. */
const FILES: Record<DatasetName, { text: string; filters: string[]; row: Record<string, unknown> }> = {
  bars: {
    text:
      "vendor,symbol,timeframe,ts,open,high,low,close,volume\n" +
      "v,A,1m,2024-01-01T00:00:00Z,1,2,0.5,1,10\nv,A,1d,2024-01-01T00:00:00Z,1,2,0.5,1.25,10\nv,B,1d,2024-01-02T00:00:00Z,1,2,0.5,1,10\n",
    filters: ["--vendor", "v", "--symbol", "A", "--timeframe", "1d"],
    row: { close_price: 1.25, vwap: null },
  },
  options: {
    text:
      "vendor,underlying,expiration,right,strike,ts,bid,ask,iv,open_interest\n" +
      "v,A,2024-06-21,call,150,2024-01-02T15:30:00Z,1.2,1.3,0.25,100\nv,A,2024-06-21,P,150.5,2024-01-02T15:30:00Z,2,,123.456,9007199254740993\n" +
      "v,A,2024-09-20,P,150.5,2024-01-02T15:30:00Z,2,3,1,1\n",
    filters: ["--symbol", "A", "--expiry", "2024-06-21", "--option-type", "P", "--strike", "150.50"],
    row: { strike: 150.5, bid: 2, ask: null, iv: 123.456 },
  },
  fundamentals: {
    text:
      '{"vendor":"v","symbol":"A","asof":"2024-03-31T00:00:00Z","eps":1.53}\n' +
      '{"vendor":"v","symbol":"B","asof":"2024-03-31T00:00:00Z","total_assets":123.45,"net_income":-0.01,"metrics":{"margin":0.250}}\n',
    filters: ["--symbol", "B"],
    row: { total_assets: 123.45, net_income: -0.01, eps: null, metrics: { margin: 0.25 } },
  },
  news: {
    text:
      '{"vendor":"v","published_at":"2024-01-02T15:30:00Z","title":"One","url":"https://example.com/1"}\n' +
      '{"vendor":"w","published_at":"2024-01-02T15:30:00Z","symbol":"A","title":"Two, \\"2\\"\\n","url":"https://example.com/2","sentiment":-0.5,"metadata":{"tags":["x"]}}\n',
    filters: ["--vendor", "w"],
    row: { symbol: "A", title: 'Two, "2"\n', sentiment_score: -0.5, metadata: { tags: ["x"] } },
  },
  signals: {
    text:
      "provider,ticker,signal,timestamp,value,score,metadata\n" +
      'v,A,momentum,2024-01-02T00:00:00Z,0.5,,\nv,A,carry,2024-01-02T00:00:00Z,-1e-7,0.9,"{""model"": ""m1""}"\n',
    filters: ["--vendor", "v", "--symbol", "A", "--name", "carry"],
    row: { name: "carry", value: -1e-7, score: 0.9, metadata: { model: "m1" } },
  },
};

describe("R15 R21 every dataset", () => {
  it.each(Object.entries(FILES))("%s is loaded, filtered and printed in every format", async (name, file) => {
    const dataset = name as DatasetName;
    const first = await ingest(dataset, file.text);
    expect({ code: first.code, rejected: totalOf(first)["rejected"] }).toEqual({ code: 0, rejected: 0 });
    expect(totalOf(await ingest(dataset, file.text))).toMatchObject({ inserted: 0, updated: 0, rejected: 0 });
    const rows = await query(dataset, ...file.filters);
    expect(rows).toEqual([expect.objectContaining(file.row)]);
    const table = await run(["query", dataset, ...file.filters]);
    expect(table.stdout.trimEnd().split("\n")).toHaveLength(2);
    const csv = await run(["query", dataset, ...file.filters, "--format", "csv"]);
    expect(totalOf(await ingest(dataset, csv.stdout))).toMatchObject({ read: 1, unchanged: 1 });
    expect(await query(dataset, "--start", "2030-01-01T00:00:00Z")).toEqual([]);
  });

  it("R8 no digit is lost", async () => {
    const [option] = await query("options", "--option-type", "P", "--expiry", "2024-06-21");
    expect(option).toBeDefined();
    const { stdout } = await run(["query", "options", "--option-type", "P", "--format", "ndjson", "--limit", "1"]);
    expect(stdout).toContain('"iv":123.456');
    expect(stdout).toContain('"oi":9007199254740993');
    const finer = await ingest(
      "options",
      "vendor,symbol,expiry,option_type,strike,ts,bid\nv,A,2024-06-21,C,150.0000001,2024-01-02T15:30:00Z,1\n",
    );
    expect(finer).toMatchObject({ code: 3, stderr: expect.stringMatching(/number_not_exact \(1\)\n.*strike/) });
  });

  it("says that a name exists in another case", async () => {
    const { code, stderr } = await run(["query", "signals", "--name", "CARRY"]);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: "No signals match. In another case there is carry of A of vendor v; names are kept as they were given.\n",
    });
  });
});

describe("R14 absent, null and empty", () => {
  const key = { vendor: "x", symbol: "A", name: "n", ts: "2024-01-01T00:00:00Z" };
  const stored = async () => (await query("signals", "--vendor", "x"))[0];
  const load = async (fields: object) => totalOf(await ingest("signals", `${JSON.stringify({ ...key, ...fields })}\n`));

  it("in NDJSON: what is left out stays, null clears", async () => {
    await load({ value: 1, score: 2, metadata: { a: 1 } });
    expect(await load({ value: 3 })).toMatchObject({ updated: 1 });
    expect(await stored()).toMatchObject({ value: 3, score: 2, metadata: { a: 1 } });
    expect(await load({ score: null, metadata: {} })).toMatchObject({ updated: 1 });
    expect(await stored()).toMatchObject({ value: 3, score: null, metadata: {} });
    expect(await load({ value: null })).toMatchObject({ rejected: 1 });
  });

  it("in CSV: a missing column stays, an empty cell clears, a quoted empty one is the empty text", async () => {
    const header = "vendor,published_at,symbol,title,url";
    const line = "x,2024-01-01T00:00:00Z";
    await ingest("news", `${header},sentiment_score\n${line},,"",u,0.5\n${line},"",T,u,0.25\n`);
    const both = async () => {
      const rows = await query("news", "--vendor", "x");
      return new Set(
        rows.map(({ symbol, title, sentiment_score }) => JSON.stringify([symbol, title, sentiment_score])),
      );
    };
    expect(await both()).toEqual(new Set(['["","T",0.25]', '[null,"",0.5]']));
    expect(totalOf(await ingest("news", `${header}\n${line},,"",u\n`))).toMatchObject({ unchanged: 1 });
    expect(totalOf(await ingest("news", `${header},sentiment\n${line},,"",u,\n`))).toMatchObject({ updated: 1 });
    expect(await both()).toEqual(new Set(['["","T",0.25]', '[null,"",null]']));
  });

  it("what only the database can refuse is told of with its line", async () => {
    const file = "vendor,symbol,name,ts,score\nx,A,n,2024-01-01T00:00:00Z,5\n\nx,NEW,n,2024-01-01T00:00:00.5Z,6\n";
    const { code, stderr } = await ingest("signals", file, "--rejects", "late.ndjson");
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringMatching(/field_missing \(1\)\n {4}line 4: /) });
    const reject = JSON.parse(await readFile(join(scratch.path, "late.ndjson"), "utf8")) as object;
    expect(reject).toMatchObject({
      line: 4,
      row: {
        vendor: "x",
        symbol: "NEW",
        name: "n",
        ts: "2024-01-01T00:00:00.5Z",
        score: 6,
      },
    });
  });
});

describe("mds write", () => {
  const ROWS: [row: string, dataset: DatasetName, flags: string, expected: Record<string, unknown>][] = [
    [
      "bar",
      "bars",
      "--symbol A --timeframe 1Day --ts 2024-01-02T00:00:00Z --open 1 --high 2 --low 0.5 --close-price 1.5 --volume 10",
      { timeframe: "1d", open_price: 1, close_price: 1.5, vwap: null },
    ],
    [
      "option",
      "options",
      "--symbol A --expiry 2024-06-21 --option-type put --strike 150.5 --ts 2024-01-02T15:30:00Z --delta -0.5",
      { option_type: "P", strike: 150.5, delta: -0.5, bid: null },
    ],
    [
      "fundamental",
      "fundamentals",
      '--symbol A --asof 2024-03-31T00:00:00Z --net-income -12345678901234567890123.45 --metrics {"margin":0.10}',
      { net_income: Number("-12345678901234567890123.45"), metrics: { margin: 0.1 } },
    ],
    [
      "news",
      "news",
      "--published-at 2024-01-02T15:30:00Z --title Headline --url https://example.com/1 --sentiment -1",
      { symbol: null, title: "Headline", sentiment_score: -1 },
    ],
    [
      "signal",
      "signals",
      "--symbol A --name momentum --ts 2024-01-02T00:00:00Z --value 0.7 --score 1",
      { name: "momentum", value: 0.7, score: 1 },
    ],
  ];

  it.each(ROWS)("%s writes one row, and the second time nothing", async (row, dataset, flags, expected) => {
    const args = ["write", row, "--vendor", "written", ...flags.split(" ")];
    expect(await run(args)).toEqual({ code: 0, signal: null, stdout: "", stderr: "Inserted.\n" });
    const again = await run([...args, "--json"]);
    expect(JSON.parse(again.stdout)).toEqual({ inserted: 0, updated: 0, unchanged: 1, rejected: 0 });
    expect(await query(dataset, "--vendor", "written")).toEqual([expect.objectContaining(expected)]);
  });

  it("keeps what is not given and clears what it is told to", async () => {
    const key = "--vendor written --symbol A --name momentum --ts 2024-01-02T00:00:00Z".split(" ");
    expect(await run(["write", "signal", ...key, "--value", "0.8"])).toMatchObject({ stderr: "Updated.\n" });
    expect((await query("signals", "--vendor", "written"))[0]).toMatchObject({ value: 0.8, score: 1 });
    expect(await run(["write", "signal", ...key, "--clear", "score"])).toMatchObject({ stderr: "Updated.\n" });
    expect((await query("signals", "--vendor", "written"))[0]).toMatchObject({ value: 0.8, score: null });
  });

  it("ends with 3 where the row cannot be stored, and says why", async () => {
    const key = "--vendor written --symbol NEW --name n --ts 2024-01-02T00:00:00Z".split(" ");
    expect(await run(["write", "signal", ...key, "--value", "0.1234567890123456789"])).toMatchObject({
      code: 3,
      stdout: "",
      stderr: expect.stringMatching(/^mds: The row was not written: value is .*\(number_not_exact\)\n$/),
    });
    expect(await run(["write", "signal", ...key, "--score", "1"])).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/^mds: The row was not written: A required field is absent.*\(field_missing\)\n$/),
    });
    const bar =
      "--vendor v --symbol A --timeframe 1d --ts 2024-01-02T00:00:00Z --open 1 --high 2 --low 1.5 --close 1 --volume 1";
    expect(await run(["write", "bar", ...bar.split(" ")])).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/^mds: The row was not written: low_price 1\.5 is above .*\(bar_impossible\)\n$/),
    });
  });
});

describe("vendors' formats", () => {
  const bar = { open_price: 1, high_price: 2, low_price: 0.5, close_price: 1.5 };

  it.each([
    [
      "binance",
      "1735689600000000,1.00000000,2.00000000,0.50000000,1.50000000,10.00000000,1735689659999999,15.0,3,5.0,7.5,0\n",
      ["symbol=S", "timeframe=1M"],
      { symbol: "S", timeframe: "1mo", ts: "2025-01-01T00:00:00Z", trade_count: 3, vwap: null, volume: 10 },
    ],
    [
      "polygon",
      "ticker,volume,open,close,high,low,window_start,transactions\nS,10.5,1,1.5,2,0.5,1744792500000000000,3\n",
      ["timeframe=minute"],
      { symbol: "S", timeframe: "1m", ts: "2025-04-16T08:35:00Z", trade_count: 3, volume: 10.5 },
    ],
    [
      "alpaca",
      '{"T":"b","S":"S","t":"2024-01-03T09:00:00Z","o":1,"h":2,"l":0.5,"c":1.5,"v":10,"n":3,"vw":1.25}\n',
      ["timeframe=1Min"],
      { symbol: "S", timeframe: "1m", ts: "2024-01-03T09:00:00Z", trade_count: 3, vwap: 1.25 },
    ],
    [
      "yahoo",
      "Date,Open,High,Low,Close,Adj Close,Volume\n2024-01-02,1,2,0.5,1.5,1.4,10\n",
      ["symbol=S", "timeframe=1d"],
      { symbol: "S", timeframe: "1d", ts: "2024-01-02T05:00:00Z", trade_count: null },
    ],
  ])("%s is read without any mapping", async (format, text, set, expected) => {
    const flags = ["--format", format, "--timezone", "America/New_York", ...set.flatMap((one) => ["--set", one])];
    const loaded = await ingest("bars", text, ...flags);
    expect({ code: loaded.code, total: totalOf(loaded) }).toMatchObject({ code: 0, total: { inserted: 1 } });
    const rows = await query("bars", "--vendor", format);
    expect(rows).toEqual([expect.objectContaining({ vendor: format, ...bar, ...expected })]);
    expect(totalOf(await ingest("bars", text, ...flags, "--set", "vendor=mine"))).toMatchObject({ inserted: 1 });
  });

  it("rejects a time that is finer than a microsecond, with its line", async () => {
    const header = "ticker,volume,open,close,high,low,window_start,transactions";
    const text = `${header}\nS,10,1,1,1,1,1744792500000000001,3\nS,10,1,1,1,1,1744792560000000000,3\n`;
    const { code, stderr } = await ingest("bars", text, "--format", "polygon", "--set", "timeframe=1m");
    expect({ code, stderr }).toEqual({
      code: 3,
      stderr: expect.stringMatching(/time_too_precise \(1\)\n {4}line 2: ts is "1744792500000000001" nanoseconds/),
    });
  });
});
