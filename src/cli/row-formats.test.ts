import { describe, expect, it } from "vitest";
import { pageOfRows } from "../../test/support/row-page.ts";
import { bars } from "../datasets/bars.ts";
import { ROW_FORMATS, type RowFormatName, rowFormat } from "./row-formats.ts";

const row = (symbol: string) => ({
  vendor: "v",
  symbol,
  timeframe: "1m",
  ts: 1_700_000_000_000_000n,
  open_price: 1,
  high_price: 2.5,
  low_price: 0.5,
  close_price: 1,
  volume: 1e21,
  trade_count: null,
  vwap: null,
});

function text(name: RowFormatName, ...batches: string[][]): string {
  const format = rowFormat(name, bars);
  return batches.map((symbols) => format.rows(pageOfRows(bars, symbols.map(row)))).join("") + format.end();
}

describe("rowFormat", () => {
  it.each(ROW_FORMATS)("of %s does not show how rows were split into batches", (name) => {
    const whole = text(name, ["A", "B", "C"]);
    expect(text(name, ["A"], ["B", "C"])).toBe(whole);
    expect(text(name, ["A", "B"], [], ["C"])).toBe(whole);
  });

  it("of json is one array, also of nothing", () => {
    expect(JSON.parse(text("json", ["A"], ["B"]))).toMatchObject([{ symbol: "A" }, { symbol: "B" }]);
    expect(text("json")).toBe("[]\n");
  });

  it("of csv has its header also without rows, of ndjson and table nothing", () => {
    expect(text("csv")).toMatch(/^vendor,symbol,timeframe,ts,.*\n$/);
    expect([text("ndjson"), text("table")]).toEqual(["", ""]);
  });

  it("of table shows a null as nothing and times in ISO 8601", () => {
    const [header, first] = text("table", ["A"]).split("\n");
    expect(header).toMatch(/^vendor {2}symbol {2}timeframe {2}ts +open_price/);
    expect(first).toMatch(/^v +A +1m +2023-11-14T22:13:20Z +1 +2\.5 +0\.5 +1 +1e\+21$/);
  });
});
