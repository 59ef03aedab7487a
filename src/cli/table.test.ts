import { describe, expect, it } from "vitest";
import { tableLine, tableText } from "./table.ts";

const COLUMNS = [{ name: "name" }, { name: "price", isNumber: true }, { name: "note" }];

describe("tableText", () => {
  it("aligns texts to the left and numbers to the right, without trailing blanks", () => {
    expect(
      tableText(COLUMNS, [
        ["a", "1", "x"],
        ["longer", "100.25", ""],
      ]),
    ).toBe("name     price  note\na            1  x\nlonger  100.25\n");
  });

  it("prints the header alone when there are no rows", () => {
    expect(tableText(COLUMNS, [])).toBe("name  price  note\n");
  });

  it("keeps a cell whole that is wider than its column", () => {
    expect(tableLine(COLUMNS, [2, 5, 4], ["wide", "1", "x"])).toBe("wide      1  x\n");
  });
});
