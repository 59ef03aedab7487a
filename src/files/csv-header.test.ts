import { describe, expect, it } from "vitest";
import { bars } from "../datasets/bars.ts";
import { type ColumnOptions, columnNames } from "./column-names.ts";
import { planCsv } from "./csv-header.ts";

const plan = (header: string, options: ColumnOptions = {}) =>
  planCsv(header.split(","), columnNames(bars, options), "x.csv");
const constants = { vendor: "x", timeframe: "1m" };

describe("planCsv", () => {
  it("knows columns by name and alias, and gives rows the constants", () => {
    expect(plan("ts,symbol,open,High,close_price", { constants })).toEqual({
      targets: ["ts", "symbol", "open_price", "high_price", "close_price"],
      template: {
        ts: null,
        symbol: null,
        open_price: null,
        high_price: null,
        close_price: null,
        vendor: "x",
        timeframe: "1m",
      },
    });
  });

  it("leaves ignored columns out", () => {
    expect(plan("ts,symbol,close,Adj Close", { constants, ignoreColumns: ["Adj Close"] }).targets).toEqual([
      "ts",
      "symbol",
      "close_price",
      undefined,
    ]);
  });

  it("takes a constant instead of an ignored column", () => {
    const { template } = plan("ts,symbol,vendor,close", { constants, ignoreColumns: ["vendor"] });
    expect(template["vendor"]).toBe("x");
  });

  it.each<[string, ColumnOptions, string]>([
    [
      "ts,symbol,close",
      {},
      'x.csv has no column for vendor and timeframe; it has "ts", "symbol", "close"; map a column with --map vendor=COLUMN, give one value for all rows with --set vendor=VALUE.',
    ],
    [
      "ts,symbol,close,Adj Close",
      { constants },
      'x.csv has columns that bars does not know: "Adj Close"; it has "ts", "symbol", "close", "Adj Close"; map a column with --map NAME=COLUMN or leave columns out with --ignore-columns.',
    ],
    [
      "Date,symbol,close",
      { constants, columnMap: { ts: "Day" } },
      'x.csv has no column "Day", which --map gives to ts, and has no column for ts, and has columns that bars does not know: "Date"; it has "Date", "symbol", "close"; map a column with --map ts=COLUMN, give one value for all rows with --set ts=VALUE or leave columns out with --ignore-columns.',
    ],
    [
      "ts,symbol,close",
      { constants, columnMap: { ts: "Day" } },
      'x.csv has no column "Day", which --map gives to ts; it has "ts", "symbol", "close"; map a column with --map NAME=COLUMN.',
    ],
    [
      "2024-01-02T00:00:00Z,AAPL,1.5",
      { constants },
      'x.csv has no column for symbol and ts, and has none of the values open_price, high_price, low_price, close_price, volume, trade_count, vwap, and has columns that bars does not know: "2024-01-02T00:00:00Z", "AAPL", "1.5"; it has "2024-01-02T00:00:00Z", "AAPL", "1.5"; its first line has to name the columns.',
    ],
    [
      "ts,timestamp,symbol",
      { constants },
      'x.csv has two columns for ts, "ts" and "timestamp"; leave one out with --ignore-columns.',
    ],
    ["ts,ts,symbol", { constants }, 'x.csv has two columns for ts, "ts" and "ts"; keep one of them.'],
    ["ts;symbol;close", { constants }, "x.csv separates its columns with semicolons; only commas are read."],
    ["ts\tsymbol\tclose", { constants }, "x.csv separates its columns with tabs; only commas are read."],
  ])("refuses %o", (header, options, message) => {
    expect(() => plan(header, options)).toThrow(expect.objectContaining({ code: "file_columns", message }));
  });

  it("refuses a constant that the file has too", () => {
    expect(() => plan("ts,symbol,provider,close", { constants })).toThrow(
      expect.objectContaining({
        code: "usage",
        message: '--set gives vendor, but x.csv has it too, as "provider"; drop one (--ignore-columns provider).',
      }),
    );
  });

  it("shows no more of a monstrous header than helps", () => {
    const header = Array.from({ length: 5_000 }, (_, index) => `column ${index} ${"x".repeat(100)}`).join(",");
    const attempt = () => plan(header, { constants });
    expect(attempt).toThrow(/and 4980 more/);
    expect(attempt).toThrow(expect.objectContaining({ message: expect.stringMatching(/^.{0,4000}$/) }));
  });
});
