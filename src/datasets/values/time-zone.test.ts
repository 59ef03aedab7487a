import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StoreError } from "../../errors/store-error.ts";
import { timeZone } from "./time-zone.ts";

const us = (iso: string) => Date.parse(`${iso}Z`) * 1_000;

describe("timeZone", () => {
  it.each(["UTC", "utc", "Z", "Etc/UTC", "GMT"])("takes %s as UTC", (name) => {
    expect(timeZone(name).name).toBe("UTC");
    expect(timeZone(name).instantOf(123)).toBe(123);
  });

  it.each(["", "Mars/Olympus", "CST", "IST", "EST", "est", "Europe/Berlin; drop table", "a\u001b[2J"])(
    "refuses %o",
    (name) => {
      expect(() => timeZone(name)).toThrow(StoreError);
      expect(() => timeZone(name)).toThrow(/is not a time zone; use an IANA name such as/);
    },
  );

  it.each([
    ["Europe/Berlin", "2024-01-15T12:00:00", "2024-01-15T11:00:00"],
    ["Europe/Berlin", "2024-07-15T12:00:00", "2024-07-15T10:00:00"],
    ["Europe/Berlin", "2024-03-31T01:59:59.999", "2024-03-31T00:59:59.999"],
    ["Europe/Berlin", "2024-03-31T02:00:00", "skipped"],
    ["Europe/Berlin", "2024-03-31T02:59:59.999", "skipped"],
    ["Europe/Berlin", "2024-03-31T03:00:00", "2024-03-31T01:00:00"],
    ["Europe/Berlin", "2024-10-27T01:59:59.999", "2024-10-26T23:59:59.999"],
    ["Europe/Berlin", "2024-10-27T02:00:00", "repeated"],
    ["Europe/Berlin", "2024-10-27T02:59:59.999", "repeated"],
    ["Europe/Berlin", "2024-10-27T03:00:00", "2024-10-27T02:00:00"],
    ["America/New_York", "2024-03-10T01:59:00", "2024-03-10T06:59:00"],
    ["America/New_York", "2024-03-10T02:30:00", "skipped"],
    ["America/New_York", "2024-03-10T03:00:00", "2024-03-10T07:00:00"],
    ["America/New_York", "2024-11-03T01:00:00", "repeated"],
    ["America/New_York", "2024-11-03T02:00:00", "2024-11-03T07:00:00"],
    ["America/New_York", "1998-01-02T16:00:00", "1998-01-02T21:00:00"],
    // Half an hour of summer time
    ["Australia/Lord_Howe", "2024-04-07T01:29:00", "2024-04-06T14:29:00"],
    ["Australia/Lord_Howe", "2024-04-07T01:30:00", "repeated"],
    ["Australia/Lord_Howe", "2024-04-07T01:59:00", "repeated"],
    ["Australia/Lord_Howe", "2024-04-07T02:00:00", "2024-04-06T15:30:00"],
    ["Australia/Lord_Howe", "2024-10-06T02:00:00", "skipped"],
    ["Australia/Lord_Howe", "2024-10-06T02:29:00", "skipped"],
    ["Australia/Lord_Howe", "2024-10-06T02:30:00", "2024-10-05T15:30:00"],
    // A whole day left out
    ["Pacific/Apia", "2011-12-30T12:00:00", "skipped"],
    ["Pacific/Apia", "2011-12-31T00:00:00", "2011-12-30T10:00:00"],
    // Clocks changed at midnight
    ["America/Sao_Paulo", "2018-11-04T00:00:00", "skipped"],
    // Local mean time with seconds, changed at 00:44:30 UTC
    ["Africa/Monrovia", "1972-01-06T23:00:00", "1972-01-06T23:44:30"],
    ["Africa/Monrovia", "1972-01-07T00:30:00", "skipped"],
    ["Africa/Monrovia", "1972-01-07T00:44:30", "1972-01-07T00:44:30"],
    ["Asia/Kolkata", "2024-06-01T00:00:00", "2024-05-31T18:30:00"],
    ["+05:30", "2024-06-01T00:00:00", "2024-05-31T18:30:00"],
  ])("%s: %s is %s", (name, local, expected) => {
    const instant = timeZone(name).instantOf(us(local));
    expect(typeof instant === "number" ? instant : instant).toBe(expected.includes("T") ? us(expected) : expected);
  });

  it("agrees with the runtime's own formatting in both directions", () => {
    const zones = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Tehran"];
    const known = zones.map((name) => ({
      zone: timeZone(name),
      format: new Intl.DateTimeFormat("sv-SE", { timeZone: name, dateStyle: "short", timeStyle: "medium" }),
    }));
    const second = fc.integer({ min: Date.UTC(1970, 0) / 1_000, max: Date.UTC(2030, 0) / 1_000 });
    fc.assert(
      fc.property(fc.constantFrom(...known), second, ({ zone, format }, at) => {
        const local = us(format.format(at * 1_000).replace(" ", "T"));
        const instant = zone.instantOf(local);
        expect(instant === "repeated" || instant === at * 1_000_000).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
