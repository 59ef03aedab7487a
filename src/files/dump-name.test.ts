import { describe, expect, it } from "vitest";
import { DEFAULT_TEMPLATE, dumpName } from "./dump-name.ts";

const NONE = { dimensions: {} };

describe("dumpName", () => {
  it("has ALL, MIN and MAX where there is no filter, also for dimensions that a dataset lacks", () => {
    expect(dumpName(DEFAULT_TEMPLATE, "bars", NONE)).toBe("bars-ALL-ALL-ALL-MIN-MAX.ndjson.gz");
    expect(dumpName(DEFAULT_TEMPLATE, "news", NONE)).toBe("news-ALL-ALL-ALL-MIN-MAX.ndjson.gz");
    expect(dumpName("{dataset}/{expiry}-{option_type}-{strike}-{name}.csv", "options", NONE)).toBe(
      "options/ALL-ALL-ALL-ALL.csv",
    );
  });

  it("names the filters, several values with a plus between", () => {
    const filter = {
      dimensions: { vendor: ["x"], symbol: ["A", "B"], timeframe: ["1m"] },
      startUs: Date.UTC(2024, 0, 2, 15, 30) * 1_000 + 5,
      endUs: Date.UTC(2024, 1, 1) * 1_000,
    };
    expect(dumpName(DEFAULT_TEMPLATE, "bars", filter)).toBe(
      "bars-x-A+B-1m-20240102T153000.000005Z-20240201T000000Z.ndjson.gz",
    );
  });

  it.each([
    ["BTC/USD", "BTC%2FUSD"],
    ["..", "%2E."],
    [".SPX", "%2ESPX"],
    ['a\\b:c*d?e"f<g>h|i%j+k', "a%5Cb%3Ac%2Ad%3Fe%22f%3Cg%3Eh%7Ci%25j%2Bk"],
    ["{start}", "{start}"],
    ["Ünï 漢", "Ünï 漢"],
  ])("makes %j a part of one file's name", (symbol, part) => {
    expect(dumpName("x/{symbol}.csv", "bars", { dimensions: { symbol: [symbol] } })).toBe(`x/${part}.csv`);
  });

  it("refuses what stands for nothing, and names that no file can have", () => {
    expect(() => dumpName("{color}.csv", "bars", NONE)).toThrow(/^"\{color\}" stands for nothing; .*\{timeframe\}/);
    const symbols = Array.from({ length: 5 }, (_, at) => String(at).repeat(64));
    expect(() => dumpName("{symbol}.csv", "bars", { dimensions: { symbol: symbols } })).toThrow(/of 328 bytes/);
  });
});
