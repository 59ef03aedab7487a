import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pageOfRows, type StoredFields } from "../../test/support/row-page.ts";
import { bars } from "../datasets/bars.ts";
import { fundamentals } from "../datasets/fundamentals.ts";
import { news } from "../datasets/news.ts";
import { options } from "../datasets/options.ts";
import { parseFloat8, parseInt8 } from "../datasets/values/number.ts";
import { parseTime } from "../datasets/values/time.ts";
import { columnNames } from "./column-names.ts";
import { readCsv } from "./csv-reader.ts";
import { csvWriter } from "./csv-writer.ts";
import { readLines } from "./line-reader.ts";
import { readNdjson } from "./ndjson-reader.ts";
import { ndjsonWriter } from "./ndjson-writer.ts";
import type { RawRow, RecordBatch } from "./record-batch.ts";

const bar = {
  vendor: "x",
  symbol: 'a"b',
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

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

/** A raw row as it would be stored. */
function stored(row: RawRow): StoredFields {
  const result: Record<string, string | number | bigint | null> = {};
  for (const [name, value] of Object.entries(row)) {
    if (value === null || ["vendor", "symbol", "timeframe"].includes(name)) result[name] = value as string | null;
    else if (name === "ts") result[name] = BigInt(parseTime(name, value) as number);
    else if (name === "trade_count") result[name] = parseInt8(name, value) as bigint;
    else result[name] = parseFloat8(name, value) as number;
  }
  return result;
}

const price = fc.integer({ min: 0, max: 10_000_000 }).map((ticks) => ticks / 100);
const float = fc.oneof(price, fc.double({ noNaN: true, noDefaultInfinity: true })).map((number) => number + 0);
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

describe("csvWriter", () => {
  const { head, lines } = csvWriter(bars);

  it("names the columns in the dataset's own order", () => {
    expect(String(head)).toBe(
      "vendor,symbol,timeframe,ts,open_price,high_price,low_price,close_price,volume,trade_count,vwap\n",
    );
  });

  it("writes times, numbers and nulls in one spelling, and quotes what has to be", () => {
    expect(String(lines(pageOfRows(bars, [bar])))).toBe(
      'x,"a""b",1m,2016-10-07T00:01:00Z,1.5,2,0,1e+21,0.1,9007199254740993,\n',
    );
  });

  it("tells a null from the empty text", () => {
    const item = { vendor: "v", published_at: 0n, symbol: null, title: "", url: "a,\nb", sentiment_score: 1 };
    const page = pageOfRows(news, [{ ...item, metadata: '{"a": 1.10}' }]);
    expect(String(csvWriter(news).lines(page))).toBe('v,1970-01-01T00:00:00Z,,"","a,\nb",1,"{""a"": 1.10}"\n');
  });

  it("R19 reads back as the same rows and writes the same bytes again", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 5 }), async (rows) => {
        const file = Buffer.concat([head, lines(pageOfRows(bars, rows))]);
        const again = (await rowsOf(readCsv(readLines(once(file)), columnNames(bars, {}), "x.csv"))).map(stored);
        expect(again).toEqual(rows);
        expect(Buffer.concat([head, lines(pageOfRows(bars, again))])).toEqual(file);
      }),
    );
  });
});

describe("ndjsonWriter", () => {
  const { head, lines } = ndjsonWriter(bars);

  it("writes times, numbers and nulls in one spelling", () => {
    expect(head.length).toBe(0);
    expect(String(lines(pageOfRows(bars, [bar, { ...bar, symbol: "B" }])))).toBe(
      '{"vendor":"x","symbol":"a\\"b","timeframe":"1m","ts":"2016-10-07T00:01:00Z","open_price":1.5,"high_price":2,"low_price":0,"close_price":1e+21,"volume":0.1,"trade_count":9007199254740993,"vwap":null}\n' +
        '{"vendor":"x","symbol":"B","timeframe":"1m","ts":"2016-10-07T00:01:00Z","open_price":1.5,"high_price":2,"low_price":0,"close_price":1e+21,"volume":0.1,"trade_count":9007199254740993,"vwap":null}\n',
    );
  });

  it("R8 writes every digit of decimals, and JSON as it is stored", () => {
    const figures = { vendor: "v", symbol: "A", asof: 1n, total_assets: "12345678901234567890123.45" };
    const page = pageOfRows(fundamentals, [
      { ...figures, total_liabilities: null, net_income: "-0.01", eps: "0.000001", metrics: '{"x": 1.10}' },
    ]);
    expect(String(ndjsonWriter(fundamentals).lines(page))).toBe(
      '{"vendor":"v","symbol":"A","asof":"1970-01-01T00:00:00.000001Z","total_assets":12345678901234567890123.45,"total_liabilities":null,"net_income":-0.01,"eps":0.000001,"metrics":{"x": 1.10}}\n',
    );
    const nulls = Object.fromEntries(options.values.map(({ name }) => [name, null]));
    const contract = { vendor: "v", symbol: "A", expiry: "2024-06-21", option_type: "C", strike: "492.500001", ts: 0n };
    expect(String(ndjsonWriter(options).lines(pageOfRows(options, [{ ...contract, ...nulls, oi: 5n }])))).toMatch(
      /^\{"vendor":"v","symbol":"A","expiry":"2024-06-21","option_type":"C","strike":492.500001,"ts":"1970-.*"oi":5,"volume":null\}\n$/,
    );
  });

  it("R19 reads back as the same rows and writes the same bytes again", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 5 }), async (rows) => {
        const file = lines(pageOfRows(bars, rows));
        const again = (await rowsOf(readNdjson(readLines(once(file)), columnNames(bars, {})))).map(stored);
        expect(again).toEqual(rows);
        expect(lines(pageOfRows(bars, again))).toEqual(file);
      }),
    );
  });

  it.each([Number.NaN, Number.NEGATIVE_INFINITY])("refuses %o", (value) => {
    expect(() => lines(pageOfRows(bars, [{ ...bar, vwap: value }]))).toThrow(/^vwap is (NaN|-Infinity), which cannot/);
  });
});
