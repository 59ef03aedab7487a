import { describe, expect, it } from "vitest";
import { bars } from "../datasets/bars.ts";
import { type ColumnOptions, columnNames } from "./column-names.ts";

describe("columnNames", () => {
  it.each([
    ["ts", "ts"],
    ["timestamp", "ts"],
    ["Timestamp", "ts"],
    [" open ", "open_price"],
    ["OPEN_PRICE", "open_price"],
    ["provider", "vendor"],
    ["openprice", undefined],
    ["", undefined],
    ["__proto__", undefined],
    ["constructor", undefined],
  ])("takes %o for %o", (name, target) => {
    expect(columnNames(bars, {}).targetOf(name)).toBe(target);
  });

  it("takes mapped names, under aliases too", () => {
    const names = columnNames(bars, { columnMap: { ts: "Date", close: " Adj Close " } });
    expect(names.targetOf("Date")).toBe("ts");
    expect(names.targetOf("date")).toBe("ts");
    expect(names.targetOf("Adj Close")).toBe("close_price");
    expect(names.targetOf("close")).toBe("close_price");
  });

  it("lets a mapped name mean something else than by itself", () => {
    const names = columnNames(bars, { columnMap: { close_price: "open" } });
    expect(names.targetOf("open")).toBe("close_price");
  });

  it("goes by the exact name where two differ in case alone", () => {
    const names = columnNames(bars, { columnMap: { close_price: "Open" } });
    expect(names.targetOf("Open")).toBe("close_price");
    expect(names.targetOf("open")).toBe("open_price");
    expect(names.targetOf("OPEN")).toBeUndefined();
  });

  it("leaves out what it is told to, with or without a meaning", () => {
    const names = columnNames(bars, { ignoreColumns: ["Adj Close", "vwap", ""] });
    expect(names.targetOf("Adj Close")).toBeNull();
    expect(names.targetOf("adj close")).toBeNull();
    expect(names.targetOf("vwap")).toBeNull();
    expect(names.targetOf("")).toBeNull();
  });

  it("puts constants under their canonical names", () => {
    expect(columnNames(bars, { constants: { provider: "x", interval: "1m" } }).constants).toEqual({
      vendor: "x",
      timeframe: "1m",
    });
  });

  it.each<[ColumnOptions, RegExp]>([
    [{ columnMap: { date: "Date" } }, /^--map names "date", which is no column of bars: vendor, symbol/],
    [{ constants: { exchange: "x" } }, /^--set names "exchange"/],
    [{ columnMap: { ts: "Date", timestamp: "Day" } }, /--map names ts twice/],
    [{ columnMap: { open: "Price", close: "Price" } }, /--map gives "Price" to two columns/],
    [{ constants: { vendor: "a", provider: "b" } }, /--set names vendor twice/],
  ])("refuses %o", (options, message) => {
    expect(() => columnNames(bars, options)).toThrow(expect.objectContaining({ code: "usage" }));
    expect(() => columnNames(bars, options)).toThrow(message);
  });
});
