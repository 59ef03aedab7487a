import { describe, expect, it } from "vitest";
import { intervalEndUs, parseTimeframe, TIMEFRAME_LENGTHS, TIMEFRAMES } from "./timeframe.ts";

const us = (iso: string) => Date.parse(iso) * 1_000;

describe("parseTimeframe", () => {
  it.each(TIMEFRAMES)("reads %s as itself", (timeframe) => {
    expect(parseTimeframe("timeframe", timeframe)).toBe(timeframe);
  });

  it.each([
    ["1Min", "1m"],
    ["1min", "1m"],
    ["5Min", "5m"],
    ["15minutes", "15m"],
    ["1Hour", "1h"],
    ["1hour", "1h"],
    ["4H", "4h"],
    ["1H", "1h"],
    ["1Day", "1d"],
    ["1day", "1d"],
    ["1D", "1d"],
    ["1W", "1w"],
    ["1wk", "1w"],
    ["1Week", "1w"],
    ["1Month", "1mo"],
    ["5sec", "5s"],
    [" 1m ", "1m"],
  ])("normalises %s to %s", (spelling, timeframe) => {
    expect(parseTimeframe("timeframe", spelling)).toBe(timeframe);
  });

  it.each([
    ...["60", "1M", "5M", "M", "", "m", "7m", "60m", "1x", "01m", "-1m", "1.5h", "1 m", "1m1m", "P1D", "daily"],
    ...["constructor", "__proto__", "1\0m", "x".repeat(1e6), 60, null, undefined, {}, ["1m"]],
  ])("rejects %o", (value) => {
    expect(parseTimeframe("timeframe", value)).toMatchObject({
      code: "timeframe_invalid",
      message: expect.stringContaining("1s 5s 1m 3m 5m 15m 30m 1h 2h 4h 1d 1w 1mo"),
    });
  });
});

describe("intervalEndUs", () => {
  it.each([
    ["1s", "2024-02-28T23:59:59Z", "2024-02-29T00:00:00Z"],
    ["4h", "2024-02-28T22:00:00Z", "2024-02-29T02:00:00Z"],
    ["1w", "2024-02-26T00:00:00Z", "2024-03-04T00:00:00Z"],
    ["1mo", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"],
    ["1mo", "2023-12-01T00:00:00Z", "2024-01-01T00:00:00Z"],
    ["1mo", "2024-01-31T05:00:00Z", "2024-02-29T05:00:00Z"],
    ["1mo", "1960-02-01T00:00:00Z", "1960-03-01T00:00:00Z"],
  ] as const)("%s from %s ends %s", (timeframe, start, end) => {
    expect(intervalEndUs(timeframe, us(start))).toBe(us(end));
  });

  it("keeps microseconds of a month", () => {
    expect(intervalEndUs("1mo", us("1960-02-01T00:00:00Z") + 1)).toBe(us("1960-03-01T00:00:00Z") + 1);
  });

  it("has its timeframes in the order of their lengths", () => {
    const seconds = TIMEFRAMES.map((timeframe) => {
      const length = TIMEFRAME_LENGTHS[timeframe];
      return length.months * 28 * 86_400 + length.seconds;
    });
    expect(seconds).toEqual(seconds.toSorted((a, b) => a - b));
  });
});
