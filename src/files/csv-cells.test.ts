import { describe, expect, it } from "vitest";
import { endsQuotedCell, readCsvCells } from "./csv-cells.ts";

describe("readCsvCells", () => {
  it.each([
    ["", [null]],
    ["a,b", ["a", "b"]],
    ["a,,", ["a", null, null]],
    ['"a",b', ["a", "b"]],
    ['"a,b",c', ["a,b", "c"]],
    ['"",a', ["", "a"]],
    ['a,""', ["a", ""]],
    ['"a ""b"" c"', ['a "b" c']],
    ['""""', ['"']],
    ['"""a"""', ['"a"']],
    ['"a\nb\r\nc",d', ["a\nb\r\nc", "d"]],
    [" a , b", [" a ", " b"]],
  ])("reads %o", (text, cells) => {
    expect(readCsvCells(text)).toEqual({ kind: "cells", cells });
  });

  it.each(['"', '"a', 'a,"b', '"a""', '"a""",""",b'])("finds the quote open in %o", (text) => {
    expect(readCsvCells(text)).toEqual({ kind: "open" });
  });

  it.each([
    ['a"b', "Cell 1 has a quote but does not begin with one."],
    ['a, "b"', "Cell 2 has a quote but does not begin with one."],
    ['"a"b,c', "Text follows the closing quote of cell 1."],
    ['x,"a" ,c', "Text follows the closing quote of cell 2."],
  ])("says what is wrong with %o", (text, reason) => {
    expect(readCsvCells(text)).toEqual({ kind: "wrong", reason });
  });
});

describe("endsQuotedCell", () => {
  it.each([
    ["", false],
    ["abc", false],
    ['a"', true],
    ['a""b', false],
    ['a"""', true],
    ['",""', true],
  ])("%o: %o", (line, ends) => {
    expect(endsQuotedCell(line)).toBe(ends);
  });
});
