import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StoreError } from "../../errors/store-error.ts";
import { EARLIEST_TIME_US, formatTime, latestTimeUs, parseTime } from "./time.ts";
import { timeZone } from "./time-zone.ts";

const NOW_MS = Date.UTC(2026, 5, 15, 12);
const us = (iso: string) => Date.parse(iso) * 1_000;
const parse = (value: unknown, zone?: string) =>
  parseTime("ts", value, zone === undefined ? undefined : timeZone(zone), NOW_MS);

describe("parseTime", () => {
  it.each([
    ["2016-10-07T00:01:00Z", us("2016-10-07T00:01:00Z")],
    ["2016-10-07 00:01:00Z", us("2016-10-07T00:01:00Z")],
    ["2016-10-07t00:01:00z", us("2016-10-07T00:01:00Z")],
    ["2016-10-07T00:01Z", us("2016-10-07T00:01:00Z")],
    [" 2016-10-07T00:01:00Z\n", us("2016-10-07T00:01:00Z")],
    ["2016-10-07T00:01:00.5Z", us("2016-10-07T00:01:00Z") + 500_000],
    ["2016-10-07T00:01:00.000001Z", us("2016-10-07T00:01:00Z") + 1],
    ["2016-10-07T00:01:00.123456000Z", us("2016-10-07T00:01:00Z") + 123_456],
    ["2016-10-07T02:01:00+02:00", us("2016-10-07T00:01:00Z")],
    ["2016-10-07T02:01:00+0200", us("2016-10-07T00:01:00Z")],
    ["2016-10-07 02:01:00+02", us("2016-10-07T00:01:00Z")],
    ["2016-10-06T18:31:00-05:30", us("2016-10-07T00:01:00Z")],
    ["1900-01-01T00:00:00Z", EARLIEST_TIME_US],
    ["1969-12-31T23:59:59.999999Z", -1],
    ["2024-02-29T00:00:00Z", us("2024-02-29T00:00:00Z")],
    ["2000-02-29T00:00:00Z", us("2000-02-29T00:00:00Z")],
    ["2028-06-15T12:00:00Z", us("2028-06-15T12:00:00Z")],
    [new Date("2016-10-07T00:01:00Z"), us("2016-10-07T00:01:00Z")],
    [1475798460000001n, 1475798460000001],
  ])("reads %o", (value, expected) => {
    expect(parse(value)).toBe(expected);
  });

  it.each([
    ["2024-07-15T12:00:00", "Europe/Berlin", "2024-07-15T10:00:00Z"],
    ["2024-07-15 12:00", "Europe/Berlin", "2024-07-15T10:00:00Z"],
    ["2024-07-15", "Europe/Berlin", "2024-07-14T22:00:00Z"],
    ["2024-07-15", "UTC", "2024-07-15T00:00:00Z"],
    ["2024-07-15T12:00:00Z", "Europe/Berlin", "2024-07-15T12:00:00Z"],
    ["2024-07-15T12:00:00-04:00", "Europe/Berlin", "2024-07-15T16:00:00Z"],
  ])("reads %s in a file of %s as %s", (text, zone, expected) => {
    expect(parse(text, zone)).toBe(us(expected));
  });

  it.each([
    ...["", " ", "abc", "now", "2024", "2024-01", "2024-1-2T00:00:00Z", "24-01-02T00:00:00Z", "20240102T000000Z"],
    ...["0000-01-01T00:00:00Z", "2024-00-01T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-00T00:00:00Z"],
    ...["2024-02-30T00:00:00Z", "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2024-04-31T00:00:00Z"],
    ...["2024-01-02T24:00:00Z", "2024-01-02T12:60:00Z", "2016-12-31T23:59:60Z", "2024-01-02T1:00:00Z"],
    ...["2024-01-02T00Z", "2024-01-02T00:00:0Z", "2024-01-02T00:00:00.Z", "2024-01-02T00:00:00.1234567890Z"],
    ...["2024-01-02T00:00:00,5Z", "2024-01-02X00:00:00Z", "2024-01-02  00:00:00Z", "2024-01-02T00:00:00 Z"],
    ...["2024-01-02T00:00:00ZZ", "2024-01-02T00:00:00+", "2024-01-02T00:00:00+1", "2024-01-02T00:00:00+1:00"],
    ...["2024-01-02T00:00:00+16:00", "2024-01-02T00:00:00+01:60", "2024-01-02T00:00:00+01:00x"],
    ...["2024-01-02Z", "01/02/2024", "2024/01/02 00:00:00Z", "+12024-01-02T00:00:00Z", "２０２４-01-02T00:00:00Z"],
    ...["2024-01-02T00:00:00\u0000Z", null, undefined, true, {}, [], new Date(Number.NaN)],
  ])("rejects %o as time_invalid", (value) => {
    expect(parse(value, "UTC")).toMatchObject({ code: "time_invalid", message: expect.stringMatching(/^ts is .*\.$/) });
  });

  it.each([1704067200, 1704067200000, "1704067200", "1704067200.5", "20240102", 0, Number.NaN])(
    "rejects the bare number %o and says that it has no unit",
    (value) => {
      expect(parse(value, "UTC")).toMatchObject({
        code: "time_invalid",
        message: expect.stringContaining("a number without a unit"),
      });
    },
  );

  it.each(["2024-01-02T00:00:00", "2024-01-02 00:00", "2024-01-02T00:00:00.123", "2024-01-02"])(
    "R10 rejects %s without a zone and never guesses one",
    (value) => {
      expect(parse(value)).toMatchObject({
        code: "time_zone_missing",
        message: expect.stringContaining("--timezone"),
      });
    },
  );

  it("R10 rejects local times that a clock change skips or repeats", () => {
    expect(parse("2024-03-31T02:30:00", "Europe/Berlin")).toMatchObject({
      code: "time_invalid",
      message: expect.stringContaining("does not exist there"),
    });
    expect(parse("2024-10-27T02:30:00", "Europe/Berlin")).toMatchObject({
      code: "time_invalid",
      message: expect.stringContaining("exists twice there"),
    });
  });

  it.each(["2024-01-02T00:00:00.1234567Z", "2024-01-02T00:00:00.000000001Z"])("rejects %s as too precise", (value) => {
    expect(parse(value)).toMatchObject({ code: "time_too_precise" });
  });

  it.each([
    ["0001-01-01T00:00:00Z"],
    ["1899-12-31T23:59:59.999999Z"],
    ["1900-01-01T00:00:00+00:01"],
    ["2028-06-15T12:00:00.000001Z"],
    ["9999-12-31T23:59:59Z"],
    [new Date("1800-01-01")],
    [new Date(8.64e15)],
    [-(2n ** 70n)],
    [2n ** 2000n],
  ])("rejects %o as out of range", (value) => {
    expect(parse(value)).toMatchObject({ code: "time_out_of_range" });
    expect(parse(value, "Europe/Berlin")).toMatchObject({ code: "time_out_of_range" });
  });

  it("rejects far local times as out of range too", () => {
    expect(parse("0001-01-01", "Europe/Berlin")).toMatchObject({ code: "time_out_of_range" });
    expect(parse("9999-12-31", "Europe/Berlin")).toMatchObject({ code: "time_out_of_range" });
  });

  it("does not let a wrong date profit from a good one before it", () => {
    expect(parse("2024-02-28T00:00:00Z")).toBe(us("2024-02-28T00:00:00Z"));
    expect(parse("2024-02-30T00:00:00Z")).toMatchObject({ code: "time_invalid" });
    expect(parse("2024-02-28T00:00:01Z")).toBe(us("2024-02-28T00:00:01Z"));
  });

  it("agrees with Date to the millisecond", () => {
    const time = fc.date({ min: new Date("1900-01-01"), max: new Date("2028-01-01"), noInvalidDate: true });
    fc.assert(
      fc.property(time, (date) => {
        expect(parse(date.toISOString())).toBe(date.getTime() * 1_000);
      }),
    );
    fc.assert(
      fc.property(time, (date) => {
        expect(parse(date)).toBe(date.getTime() * 1_000);
      }),
    );
  });
});

describe("latestTimeUs", () => {
  it("is two calendar years on", () => {
    expect(latestTimeUs(Date.UTC(2026, 5, 15))).toBe(us("2028-06-15T00:00:00Z"));
    expect(latestTimeUs(Date.UTC(2024, 1, 29, 5))).toBe(us("2026-02-28T05:00:00Z"));
  });
});

describe("formatTime", () => {
  it.each([
    [0, "1970-01-01T00:00:00Z"],
    [-1, "1969-12-31T23:59:59.999999Z"],
    [1475798460500000, "2016-10-07T00:01:00.5Z"],
    [1475798460000010n, "2016-10-07T00:01:00.00001Z"],
    [EARLIEST_TIME_US, "1900-01-01T00:00:00Z"],
  ])("writes %o as %s", (value, text) => {
    expect(formatTime(value)).toBe(text);
  });

  it.each([Number.NaN, 2n ** 62n, -(2n ** 62n), Number.POSITIVE_INFINITY])("refuses %o", (value) => {
    expect(() => formatTime(value)).toThrow(StoreError);
  });

  it("writes what parseTime reads, in one spelling", () => {
    const time = fc.integer({ min: EARLIEST_TIME_US, max: latestTimeUs(NOW_MS) });
    fc.assert(
      fc.property(time, (value) => {
        expect(parse(formatTime(value))).toBe(value);
        expect(parse(formatTime(BigInt(value)))).toBe(value);
      }),
    );
  });
});
