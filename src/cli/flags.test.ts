import { InvalidArgumentError } from "commander";
import { describe, expect, it } from "vitest";
import { assignments, collect, wholeNumber } from "./flags.ts";

describe("assignments", () => {
  it.each([
    ["vendor=x", { vendor: "x" }],
    ["vendor=x,timeframe=1m", { vendor: "x", timeframe: "1m" }],
    ["vendor=x, y", { vendor: "x, y" }],
    ["symbol=a=b,c", { symbol: "a=b,c" }],
    ["vendor=", { vendor: "" }],
  ])("reads %s", (text, expected) => {
    expect(assignments(text)).toEqual(expected);
  });

  it("adds to those before, each name once", () => {
    expect(assignments("b=2", { a: "1" })).toEqual({ a: "1", b: "2" });
    expect(() => assignments("a=2", { a: "1" })).toThrow(InvalidArgumentError);
    expect(() => assignments("a=1,a=2")).toThrow(InvalidArgumentError);
  });

  it.each(["", "vendor", "=x"])("refuses %j", (text) => {
    expect(() => assignments(text)).toThrow(InvalidArgumentError);
  });
});

describe("wholeNumber", () => {
  it("reads what lies within its bounds and refuses the rest", () => {
    const read = wholeNumber(1, 100);
    expect([read("1"), read("100"), read("007")]).toEqual([1, 100, 7]);
    for (const text of ["0", "101", "-1", "1.5", "1e1", "", " 5", "ten"]) {
      expect(() => read(text), text).toThrow(InvalidArgumentError);
    }
  });
});

describe("collect", () => {
  it("gathers values in order", () => {
    expect(collect("b", collect("a"))).toEqual(["a", "b"]);
  });
});
