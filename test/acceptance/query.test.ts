/** Reading rows and latest prices: every format, every filter, and what is said when there is nothing. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { tableFromIPC } from "@uwdata/flechette";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BAR_HEADER, barFile } from "../support/bar-lines.ts";
import { type CommandResult, MDS, mds, scratchFolder, startMds, startProgram } from "../support/mds-command.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const TABLE_HEADER =
  /^vendor +symbol +timeframe +ts +open_price +high_price +low_price +close_price +volume +trade_count +vwap$/;

let database: TestDatabase;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;

const run = (args: string[], input = ""): Promise<CommandResult> =>
  mds(args, { cwd: scratch.path, env: { MDS_DSN: database.url }, input });
const query = (...args: string[]) => run(["query", "bars", ...args]);
/** Into a file, since it is bytes. */
async function queryArrow(...args: string[]) {
  const path = join(scratch.path, "bars.arrows");
  const command = [process.execPath, MDS, "query", "bars", ...args, "--format", "arrow"];
  const { done } = startProgram("/bin/sh", ["-c", `${command.map((word) => `'${word}'`).join(" ")} > '${path}'`], {
    cwd: scratch.path,
    env: { MDS_DSN: database.url },
  });
  return { ...(await done), table: tableFromIPC(await readFile(path)) };
}
const rowsOf = ({ stdout }: CommandResult) => JSON.parse(stdout) as Record<string, unknown>[];

beforeAll(async () => {
  database = await createTestDatabase();
  scratch = await scratchFolder();
  const load = (input: string, timeframe: string) =>
    run(["ingest", "bars", "-", "--set", `vendor=test,timeframe=${timeframe}`], input);
  await load(barFile(25_000), "1m");
  await load(barFile(10, "BBB"), "1d");
  await load(
    `${BAR_HEADER},trade_count,vwap\n2024-01-01T00:00:00.123456Z,"odd, ""name""",0.1,1e-7,1e-7,1e-7,12345678901234.5,9007199254740993,\n`.replace(
      ",0.1,",
      ",1e-7,",
    ),
    "1s",
  );
});

afterAll(async () => {
  await database.drop();
  await scratch.remove();
});

describe("mds query bars", () => {
  it("prints a table, streaming and aligned", async () => {
    const { code, stdout, stderr } = await query("--symbol", "AAA");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = stdout.trimEnd().split("\n");
    expect(lines).toHaveLength(25_001);
    expect(lines[0]).toMatch(TABLE_HEADER);
    expect(lines[1]).toMatch(/^test +AAA +1m +2024-01-01T00:00:00Z +100 +101 +99 +100\.5 +10$/);
  });

  it("writes an Arrow stream", async () => {
    const { code, stderr, table } = await queryArrow("--timeframe", "1m");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(table.numRows).toBe(25_000);
    expect(table.at(0)).toMatchObject({ vendor: "test", symbol: "AAA", timeframe: "1m", open_price: 100, vwap: null });
  });

  it.each([
    ["--symbol", "NOBODY"],
    ["--symbol", "AAA", "--end", "1999-01-01T00:00:00Z"],
  ])("writes an empty Arrow stream where nothing matches, and says so: %s %s %s %s", async (...args) => {
    const { code, stderr, table } = await queryArrow(...args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "No bars match.\n" });
    expect(table.numRows).toBe(0);
    expect(table.names.slice(0, 4)).toEqual(["vendor", "symbol", "timeframe", "ts"]);
  });

  it("prints CSV, NDJSON and JSON with the values exactly as stored", async () => {
    const odd = ["--symbol", 'odd, "name"'];
    expect((await query(...odd, "--format", "csv")).stdout).toBe(
      "vendor,symbol,timeframe,ts,open_price,high_price,low_price,close_price,volume,trade_count,vwap\n" +
        'test,"odd, ""name""",1s,2024-01-01T00:00:00.123456Z,1e-7,1e-7,1e-7,1e-7,12345678901234.5,9007199254740993,\n',
    );
    const object =
      '{"vendor":"test","symbol":"odd, \\"name\\"","timeframe":"1s","ts":"2024-01-01T00:00:00.123456Z","open_price":1e-7,' +
      '"high_price":1e-7,"low_price":1e-7,"close_price":1e-7,"volume":12345678901234.5,"trade_count":9007199254740993,"vwap":null}';
    expect((await query(...odd, "--format", "ndjson")).stdout).toBe(`${object}\n`);
    expect((await query(...odd, "--format", "json")).stdout).toBe(`[\n${object}\n]\n`);
    expect((await query(...odd, "--json")).stdout).toBe(`[\n${object}\n]\n`);
  });

  it("prints JSON that is whole over many batches, and an empty array for nothing", async () => {
    expect(rowsOf(await query("--symbol", "AAA", "--json"))).toHaveLength(25_000);
    expect(await query("--symbol", "AAA", "--limit", "0", "--json")).toMatchObject({ code: 0, stdout: "[]\n" });
  });

  it("filters by symbol, timeframe, window and limit, and turns round", async () => {
    const times = async (...args: string[]) => rowsOf(await query(...args, "--json")).map(({ ts }) => ts);
    expect(rowsOf(await query("--symbol", "AAA", "--symbol", "BBB", "--timeframe", "1d", "--json"))).toHaveLength(10);
    const window = ["--symbol", "AAA", "--start", "2024-01-02T00:00:00Z", "--end", "2024-01-02T00:03:00Z"];
    expect(await times(...window)).toEqual(["2024-01-02T00:00:00Z", "2024-01-02T00:01:00Z", "2024-01-02T00:02:00Z"]);
    expect(await times(...window, "--newest-first", "--limit", "1")).toEqual(["2024-01-02T00:02:00Z"]);
    const local = ["--symbol", "AAA", "--start", "2024-01-02", "--timezone", "Asia/Kolkata", "--limit", "1"];
    expect(await times(...local)).toEqual(["2024-01-01T18:30:00Z"]);
    expect(await times("--vendor", "other")).toEqual([]);
  });

  it("ends with 0 for nothing, and names what exists in another case", async () => {
    expect(await query("--symbol", "ZZZ", "--format", "csv")).toEqual({
      code: 0,
      signal: null,
      stdout: "vendor,symbol,timeframe,ts,open_price,high_price,low_price,close_price,volume,trade_count,vwap\n",
      stderr: "No bars match.\n",
    });
    const { code, stderr } = await query("--symbol", "aaa");
    expect(code).toBe(0);
    expect(stderr).toMatch(/^No bars match\. In another case there is AAA of vendor test;/);
    expect((await query("--symbol", "AAA", "--end", "1999-01-01T00:00:00Z")).stderr).toBe("No bars match.\n");
  });

  it("another tenant's rows are not among them", async () => {
    await run(["tenant", "create", "other"]);
    expect(await query("--tenant", "other", "--json")).toMatchObject({ code: 0, stdout: "[]\n" });
  });

  it("ends quietly when its reader has gone", async () => {
    const args = ["query", "bars", "--symbol", "AAA", "--format", "csv"];
    const running = startMds(args, { cwd: scratch.path, env: { MDS_DSN: database.url } });
    await once(running.child.stdout, "data");
    running.child.stdout.destroy();
    expect(await running.done).toMatchObject({ code: 0, stderr: "" });
  });
});

describe("mds latest", () => {
  it("prints the newest price of each symbol", async () => {
    const { code, stdout, stderr } = await run(["latest", "--vendor", "test", "AAA", "BBB"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(
      /^vendor +symbol +price +price_timestamp\ntest +AAA +350\.49 +2024-01-18T08:39:00Z\ntest +BBB +100\.59 +2024-01-01T00:09:00Z\n$/,
    );
    const json = await run(["latest", "--vendor", "test", "--vendor", "none", "AAA", "--json"]);
    expect(JSON.parse(json.stdout)).toEqual([
      { vendor: "test", symbol: "AAA", price: 350.49, price_timestamp: "2024-01-18T08:39:00Z" },
    ]);
  });

  it("names the symbols that it has no price of", async () => {
    const { code, stdout, stderr } = await run(["latest", "--vendor", "test", "AAA", "bbb", "ZZZ"]);
    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n")).toHaveLength(2);
    expect(stderr).toMatch(/^There is no price of bbb, ZZZ\. In another case there is BBB of vendor test;/);
  });
});

describe("mds query bars of a timeframe that is not stored", () => {
  it("answers from the aggregate of 1m bars, says so once, and prints no other column for it", async () => {
    await database.sql("select mds.refresh_aggregates('bars', null, 1000000)");
    const { code, stdout, stderr } = await query(
      "--symbol",
      "AAA",
      "--timeframe",
      "5m",
      "--limit",
      "1",
      "--format",
      "ndjson",
    );
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: "The 5m bars of AAA of vendor test are answered from the aggregate of 1m bars.\n",
    });
    expect(JSON.parse(stdout)).toEqual({
      vendor: "test",
      symbol: "AAA",
      timeframe: "5m",
      ts: "2024-01-01T00:00:00Z",
      open_price: 100,
      high_price: 101.04,
      low_price: 99,
      close_price: 100.54,
      volume: 50,
      trade_count: null,
      vwap: null,
    });
    expect((await query("--symbol", "BBB", "--timeframe", "1d")).stderr).toBe("");
  });
});
