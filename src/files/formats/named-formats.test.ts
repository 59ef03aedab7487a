import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { columnsOf } from "../../datasets/dataset.ts";
import { RowBatch } from "../../datasets/derive/row-batch.ts";
import { datasetNamed } from "../../datasets/registry.ts";
import { readRecords } from "../read-records.ts";
import type { RecordBatch } from "../record-batch.ts";
import { type NamedFormat, readOptionsOf } from "./named-format.ts";
import { NAMED_FORMATS } from "./named-formats.ts";

const named = (name: string): NamedFormat => NAMED_FORMATS.find((format) => format.name === name)!;

async function read(name: string, text: string, set: Record<string, string> = {}): Promise<RecordBatch> {
  const format = named(name);
  const options = { ...readOptionsOf(format, { constants: set }), stdin: Readable.from([Buffer.from(text)]) };
  const all: RecordBatch = { rows: [], lines: [], rejects: [] };
  for await (const { rows, lines, rejects } of readRecords("-", datasetNamed(format.dataset), options)) {
    all.rows.push(...rows);
    all.lines.push(...lines);
    all.rejects.push(...rejects);
  }
  return all;
}

describe("named formats", () => {
  it.each(NAMED_FORMATS)("$name means columns of its dataset only, and its own name is a vendor", (format) => {
    const dataset = datasetNamed(format.dataset);
    const known = columnsOf(dataset).map(({ name }) => name);
    const targets = Object.values(format.columns).filter((column) => column !== null);
    expect(targets.filter((column) => !known.includes(column))).toEqual([]);
    expect(new RowBatch(dataset, 1).add({ vendor: format.name })?.code).toBe("field_missing");
  });
});

const KLINE = "4.1507,4.1587,4.1506,4.1554,539.23,1601510399999,2240.398609,13,401.82,1669.981213,0";

describe("binance", () => {
  const set = { symbol: "BTCUSDT", timeframe: "1m" };

  it.each([
    ["without a header", `1601510340000,${KLINE}\n`, 1],
    [
      "with a header",
      `open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n1601510340000,${KLINE}\n`,
      2,
    ],
  ])("is read %s, each line with its number", async (_kind, text, line) => {
    const { rows, lines, rejects } = await read("binance", text, set);
    expect({ rejects, lines }).toEqual({ rejects: [], lines: [line] });
    expect(rows).toMatchObject([
      { vendor: "binance", ...set, ts: 1_601_510_340_000_000n, volume: "539.23", trade_count: "13" },
    ]);
    expect(Object.keys(rows[0]!)).not.toContain("ignore");
  });

  it("rejects a time of another length with its fields, and a line with other columns", async () => {
    const { rows, rejects } = await read("binance", `1601510340,${KLINE}\n1601510340000,1,2\n`, set);
    expect(rows).toEqual([]);
    expect(rejects).toMatchObject([
      { line: 2, rejection: { code: "csv_invalid" } },
      { line: 1, rejection: { code: "time_invalid" }, raw: { ts: "1601510340", symbol: "BTCUSDT" } },
    ]);
  });

  it("has its own name for a month, and gives way to another vendor", async () => {
    const { rows } = await read("binance", `1601510340000,${KLINE}\n`, {
      symbol: "S",
      timeframe: "1M",
      provider: "me",
    });
    expect(rows).toMatchObject([{ vendor: "me", timeframe: "1mo" }]);
  });
});

describe("polygon", () => {
  it("refuses files of indices, which lack a volume, unless one is given", async () => {
    const text = "ticker,open,close,high,low,window_start\nI:SPX,1,1,1,1,1744792500000000000\n";
    const { rows } = await read("polygon", text, { timeframe: "1d", volume: "0" });
    expect(rows).toMatchObject([{ symbol: "I:SPX", volume: "0", ts: 1_744_792_500_000_000n }]);
  });
});

describe("alpaca", () => {
  it("tells the type of a message from its time, whatever their case", async () => {
    const bar = '"o":1,"h":2,"l":0.5,"c":1.5,"v":10,"n":3,"vw":1.25';
    const text = `{"T":"b","S":"A","t":"2024-01-03T09:00:00Z",${bar}}\n{"t":"2024-01-03T09:01:00Z",${bar}}\n`;
    const { rows, rejects } = await read("alpaca", text, { timeframe: "1T" });
    expect(rejects).toEqual([]);
    expect(rows).toMatchObject([
      { symbol: "A", ts: "2024-01-03T09:00:00Z", timeframe: "1m", vwap: 1.25, trade_count: 3 },
      { ts: "2024-01-03T09:01:00Z" },
    ]);
    expect(rows[1]).not.toHaveProperty("symbol");
  });
});

describe("yahoo", () => {
  it("is read with what yfinance adds", async () => {
    const text =
      "Datetime,Open,High,Low,Close,Volume,Dividends,Stock Splits\n2024-01-02 09:30:00-05:00,1,2,0.5,1.5,10,0.0,0.0\n";
    const { rows } = await read("yahoo", text, { symbol: "A", timeframe: "60m" });
    expect(rows).toEqual([
      {
        vendor: "yahoo",
        symbol: "A",
        timeframe: "1h",
        ts: "2024-01-02 09:30:00-05:00",
        open_price: "1",
        high_price: "2",
        low_price: "0.5",
        close_price: "1.5",
        volume: "10",
      },
    ]);
  });
});
