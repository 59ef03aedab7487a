import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bars } from "../datasets/bars.ts";
import { parseFloat8, parseInt8 } from "../datasets/values/number.ts";
import { formatTime, parseTime } from "../datasets/values/time.ts";
import { columnNames } from "./column-names.ts";
import { readCsv } from "./csv-reader.ts";
import { csvHeader, csvLine } from "./csv-writer.ts";
import { readLines } from "./line-reader.ts";
import { readNdjson } from "./ndjson-reader.ts";
import { ndjsonLine } from "./ndjson-writer.ts";
import { numberText, type OutputRow, outputColumns } from "./output-columns.ts";
import type { RawRow, RecordBatch } from "./record-batch.ts";

const columns = outputColumns(bars);
const bar = {
  vendor: "x",
  symbol: "A",
  timeframe: "1m",
  ts: 1_475_798_460_000_000n,
  open_price: 1.5,
  high_price: 2,
  low_price: -0,
  close_price: 1e21,
  volume: 0.1,
  trade_count: 9007199254740993n,
  vwap: null,
};

async function rowsOf(batches: AsyncIterable<RecordBatch>): Promise<RawRow[]> {
  const rows: RawRow[] = [];
  for await (const batch of batches) {
    expect(batch.rejects).toEqual([]);
    rows.push(...batch.rows);
  }
  return rows;
}

async function* once(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text);
}

/** A raw row as it would be stored. */
function stored(row: RawRow): OutputRow {
  const result: Record<string, string | number | bigint | null> = {};
  for (const [name, value] of Object.entries(row)) {
    if (value === null || ["vendor", "symbol", "timeframe"].includes(name)) result[name] = value as string | null;
    else if (name === "ts") result[name] = BigInt(parseTime(name, value) as number);
    else if (name === "trade_count") result[name] = parseInt8(name, value) as bigint;
    else result[name] = parseFloat8(name, value) as number;
  }
  return result;
}

const float = fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0);
const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 12 }),
  fc.constantFrom("", '"', "\\", "\\n", "\n", "\r\n", "\r", "\t", ",", '""', " a ", "😀", "x".repeat(10_000), "\u2028"),
);
const row = fc.record({
  vendor: text,
  symbol: text,
  timeframe: fc.constantFrom("1m", "1d"),
  ts: fc.integer({ min: -2_208_988_800_000_000, max: 1_800_000_000_000_000 }).map(BigInt),
  open_price: float,
  high_price: float,
  low_price: float,
  close_price: float,
  volume: float,
  trade_count: fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
  vwap: fc.option(float),
});

describe("outputColumns", () => {
  it("are all columns, or those named in their order", () => {
    expect(csvHeader(columns)).toBe(
      "vendor,symbol,timeframe,ts,open_price,high_price,low_price,close_price,volume,trade_count,vwap\n",
    );
    expect(csvHeader(outputColumns(bars, ["close_price", "ts"]))).toBe("close_price,ts\n");
    expect(() => outputColumns(bars, ["close"])).toThrow(/^"close" is no column of bars: vendor, /);
  });
});

describe("csvLine", () => {
  it("writes times, numbers and nulls in one spelling", () => {
    expect(csvLine(columns, bar)).toBe("x,A,1m,2016-10-07T00:01:00Z,1.5,2,0,1e+21,0.1,9007199254740993,\n");
  });

  it("tells a null from the empty text, and quotes what has to be", () => {
    const some = outputColumns(bars, ["vwap", "vendor", "symbol", "timeframe"]);
    expect(csvLine(some, { vendor: "", symbol: 'a"b', timeframe: "a,\nb" })).toBe(',"","a""b","a,\nb"\n');
  });

  it("R19 reads back as the same rows and writes the same bytes again", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 5 }), async (rows) => {
        const file = csvHeader(columns) + rows.map((each) => csvLine(columns, each)).join("");
        const read = await rowsOf(readCsv(readLines(once(file)), columnNames(bars, {}), "x.csv"));
        const again = read.map(stored);
        expect(again).toEqual(rows);
        expect(csvHeader(columns) + again.map((each) => csvLine(columns, each)).join("")).toBe(file);
      }),
    );
  });
});

describe("ndjsonLine", () => {
  it("writes times, numbers and nulls in one spelling, and leaves out what is absent", () => {
    expect(ndjsonLine(columns, { ...bar, volume: undefined })).toBe(
      '{"vendor":"x","symbol":"A","timeframe":"1m","ts":"2016-10-07T00:01:00Z","open_price":1.5,"high_price":2,"low_price":0,"close_price":1e+21,"trade_count":9007199254740993,"vwap":null}\n',
    );
    expect(ndjsonLine(columns, {})).toBe("{}\n");
  });

  it("R19 reads back as the same rows and writes the same bytes again", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 5 }), async (rows) => {
        const file = rows.map((each) => ndjsonLine(columns, each)).join("");
        const read = await rowsOf(readNdjson(readLines(once(file)), columnNames(bars, {})));
        const again = read.map(stored);
        expect(again).toEqual(rows);
        expect(again.map((each) => ndjsonLine(columns, each)).join("")).toBe(file);
      }),
    );
  });
});

describe("numberText", () => {
  it("writes a bigint as a time only where it is one", () => {
    expect(numberText({ name: "ts", isTime: true, isJson: false }, 5n)).toBe(formatTime(5));
    expect(numberText({ name: "trade_count", isTime: false, isJson: false }, 5n)).toBe("5");
  });

  it.each([Number.NaN, Number.NEGATIVE_INFINITY])("refuses %o", (value) => {
    expect(() => numberText({ name: "vwap", isTime: false, isJson: false }, value)).toThrow(
      /^vwap is (NaN|-Infinity), which cannot/,
    );
  });
});
