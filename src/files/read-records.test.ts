import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bars } from "../datasets/bars.ts";
import { parseFloat8 } from "../datasets/values/number.ts";
import { parseText } from "../datasets/values/text.ts";
import { parseTime } from "../datasets/values/time.ts";
import { type ReadOptions, readRecords } from "./read-records.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "read-records-"));
});
afterAll(() => rm(folder, { recursive: true }));

const constants = { vendor: "x", timeframe: "1m" };
let count = 0;
async function read(bytes: Buffer | string, options: ReadOptions = { constants }) {
  const name = path.join(folder, `${++count}.csv`);
  await writeFile(name, bytes);
  const rows: Record<string, unknown>[] = [];
  const rejects: [number, string][] = [];
  for await (const batch of readRecords(name, bars, options)) {
    rows.push(...batch.rows);
    rejects.push(...batch.rejects.map(({ line, rejection }): [number, string] => [line, rejection.code]));
  }
  return { rows, rejects };
}

const csv = "ts,symbol,close\n2024-01-02T00:00:00Z,A,1.5\n2024-01-02T00:01:00Z,B,2\n";
const ndjson =
  '{"ts":"2024-01-02T00:00:00Z","symbol":"A","close":"1.5"}\n{"ts":"2024-01-02T00:01:00Z","symbol":"B","close":"2"}\n';
const expected = [
  { ts: "2024-01-02T00:00:00Z", symbol: "A", close_price: "1.5", ...constants },
  { ts: "2024-01-02T00:01:00Z", symbol: "B", close_price: "2", ...constants },
];

describe("readRecords", () => {
  it.each([
    ["CSV", csv],
    ["NDJSON", ndjson],
    ["NDJSON after blanks", `\n \t${ndjson}`],
    ["CSV with a mark and CRLF", `\ufeff${csv.replaceAll("\n", "\r\n")}`],
    ["gzipped NDJSON", gzipSync(ndjson)],
    ["CSV in zstd", zstdCompressSync(csv)],
  ])("tells %s by its content", async (_name, bytes) => {
    expect(await read(bytes)).toEqual({ rows: expected, rejects: [] });
  });

  it("reads a file in the form it is told", async () => {
    expect(await read(csv, { constants, format: "ndjson" })).toEqual({
      rows: [],
      rejects: [1, 2, 3].map((line) => [line, "json_invalid"]),
    });
    await expect(read(ndjson, { constants, format: "csv" })).rejects.toMatchObject({ code: "file_columns" });
  });

  it.each([
    ["empty", ""],
    ["blank", "\n\n \n"],
    ["gzip of nothing", gzipSync("")],
    ["a header only", "ts,symbol,close\n"],
  ])("has no rows for a file that is %s", async (_name, bytes) => {
    expect(await read(bytes)).toEqual({ rows: [], rejects: [] });
  });

  it.each([
    ["a JSON array", `[${ndjson.split("\n")[0]}]`, "file_columns", /is a JSON array; write one object a line/],
    ["a missing column", "ts,close\n", "file_columns", /has no column for symbol;/],
    ["doubled columns", "ts,symbol,close,close\n", "file_columns", /has two columns for close_price/],
    ["an unknown column", "ts,symbol,close,colour\n", "file_columns", /that bars does not know: "colour"/],
    ["UTF-16", Buffer.from(csv, "utf16le"), "file_encoding", /UTF-16/],
    ["binary", Buffer.alloc(10_000, 1), "file_encoding", /binary/],
  ])("stops with one sentence at %s", async (_name, bytes, code, message) => {
    await expect(read(bytes)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it("lets each bad line cost itself alone", async () => {
    const lines = ["t,A,1", 't,"B,2', "t,C,\0", "t,D", `t,${"x".repeat(10 << 20)},5`, "t,F,6"];
    const bytes = Buffer.concat([Buffer.from(`ts,symbol,close\n${lines.join("\n")}\nt,M`), Buffer.from([0xfc, 0x0a])]);
    const { rows, rejects } = await read(bytes);
    expect(rows.map((row) => row["symbol"])).toEqual(["A", "F"]);
    expect(rejects.toSorted(([a], [b]) => a - b)).toEqual([
      [3, "csv_invalid"],
      [4, "nul_in_text"],
      [5, "csv_invalid"],
      [6, "line_too_long"],
      [8, "line_not_utf8"],
    ]);
  });

  it("passes values on as they stand, for the value parsers to judge", async () => {
    const body = ["2024-01-02 10:00,,abc", "0000-01-01T00:00:00Z,A,NaN", "9999-12-31T00:00:00Z, B ,inf"].join("\n");
    const { rows } = await read(`ts,symbol,close\n${body}\n`);
    const codes = rows.map((row) => [
      parseTime("ts", row["ts"]),
      parseText("symbol", row["symbol"] ?? ""),
      parseFloat8("close_price", row["close_price"]),
    ]);
    expect(codes).toMatchObject([
      [{ code: "time_zone_missing" }, { code: "text_empty" }, { code: "number_invalid" }],
      [{ code: "time_invalid" }, "A", { code: "number_invalid" }],
      [{ code: "time_out_of_range" }, "B", { code: "number_invalid" }],
    ]);
  });

  it("delivers the whole lines of a cut-off file first", async () => {
    const long = `ts,symbol,close\n${Array.from({ length: 50_000 }, (_, index) => `t,S${index},${index * 7}\n`).join("")}`;
    const name = path.join(folder, "cut.csv.gz");
    const bytes = gzipSync(long);
    await writeFile(name, bytes.subarray(0, bytes.length >> 1));
    const symbols: unknown[] = [];
    const reading = async () => {
      for await (const batch of readRecords(name, bars, { constants })) {
        symbols.push(...batch.rows.map((row) => row["symbol"]));
        expect(batch.rejects).toEqual([]);
      }
    };
    await expect(reading()).rejects.toMatchObject({ code: "file_truncated" });
    expect(symbols.length).toBeGreaterThan(15_000);
    expect(symbols).toEqual(Array.from(symbols, (_, index) => `S${index}`));
  });

  it("stops when told to", async () => {
    const stop = new AbortController();
    const name = path.join(folder, "long.csv");
    await writeFile(name, `ts,symbol,close\n${"t,A,1\n".repeat(100_000)}`);
    let batches = 0;
    const reading = async () => {
      for await (const _ of readRecords(name, bars, { constants, signal: stop.signal })) {
        batches++;
        stop.abort();
      }
    };
    await expect(reading()).rejects.toMatchObject({ code: "aborted" });
    expect(batches).toBe(1);
  });

  it("gives batches of bounded size", async () => {
    const name = path.join(folder, "bounded.csv");
    await writeFile(name, `ts,symbol,close\n${"t,A,1\n".repeat(100_000)}`);
    const sizes: number[] = [];
    for await (const batch of readRecords(name, bars, { constants })) sizes.push(batch.rows.length);
    expect(Math.max(...sizes)).toBeLessThan(20_000);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(100_000);
  });
});

const samples = path.resolve(import.meta.dirname, "../../../shared/data");
describe.skipIf(!existsSync(samples))("sample files (skipped where ../shared/data is absent)", () => {
  it.each([
    ["bars-coinbase-1m.csv", 11_990],
    ["bars-us-equities-1d.csv", 42_791],
    ["bars-us-equities-1m.csv", 13_174],
  ])("reads every row and value of %s", async (name, rowCount) => {
    let rows = 0;
    for await (const batch of readRecords(path.join(samples, name), bars, { constants })) {
      rows += batch.rows.length;
      expect(batch.rejects).toEqual([]);
      const bad = batch.rows.flatMap((row) => [
        parseTime("ts", row["ts"]),
        parseFloat8("open_price", row["open_price"]),
        parseFloat8("high_price", row["high_price"]),
        parseFloat8("low_price", row["low_price"]),
        parseFloat8("close_price", row["close_price"]),
        parseFloat8("volume", row["volume"]),
      ]);
      expect(bad.filter((value) => typeof value !== "number")).toEqual([]);
    }
    expect(rows).toBe(rowCount);
  });
});
