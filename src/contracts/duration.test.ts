import { describe, expect, it } from "vitest";
import { parseDuration } from "./duration.ts";

describe("parseDuration", () => {
  it.each([
    ["90 days", "90 days"],
    ["1 day", "1 day"],
    ["1 days", "1 day"],
    ["6 months", "6 months"],
    ["12 months", "1 year"],
    ["18 months", "18 months"],
    ["2 years", "2 years"],
    ["P90D", "90 days"],
    ["P6M", "6 months"],
    ["P24M", "2 years"],
    ["P1Y", "1 year"],
    ["36500 days", "36500 days"],
  ])("reads %s", (text, canonical) => {
    expect(parseDuration(text)).toBe(canonical);
    expect(parseDuration(canonical)).toBe(canonical);
  });

  it.each([
    "",
    "90",
    "0 days",
    "P0D",
    "-90 days",
    "+90 days",
    "90 days ago",
    "90  days",
    " 90 days",
    "90 days ",
    "90d",
    "090 days",
    "1.5 years",
    "1e2 days",
    "2 weeks",
    "24 hours",
    "PT24H",
    "P1Y6M",
    "P1W",
    "1 year 6 months",
    "101 years",
    "1201 months",
    "36501 days",
    "99999999999999999999 days",
    "%s days",
    "infinity",
    "90 Days",
  ])("refuses %j", (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});
