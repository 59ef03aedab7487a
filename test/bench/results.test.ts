import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { keepResult, newestResult, requireResultsFolder, resultFile } from "../../scripts/bench/results.ts";
import { benchReport } from "./bench-report.ts";

const other = { ...benchReport().scenarios["latest"]!, title: "another" };
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mds-results-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("results that are kept", () => {
  it("have a file a day and machine", () => {
    expect(resultFile(benchReport())).toBe("2026-03-04-acme-r-9-2-cores-24-gib.json");
  });

  it("are replaced by a whole run of the same day, and the newest day counts", () => {
    expect(newestResult(folder)).toBeUndefined();
    keepResult(benchReport(), false, folder);
    keepResult(benchReport({ version: "1.2.4" }), false, folder);
    expect(newestResult(folder)?.version).toBe("1.2.4");
    keepResult(benchReport({ measured_at: "2026-03-03T00:00:00.000Z" }), false, folder);
    expect(readdirSync(folder)).toHaveLength(2);
    expect(newestResult(folder)?.measured_at).toContain("2026-03-04");
  });

  it("take in a part of the same day, whatever the load was", () => {
    keepResult(benchReport(), false, folder);
    const machine = { ...benchReport().machine, load_average: 3 };
    keepResult(benchReport({ machine, scenarios: { growth: other } }), true, folder);
    expect(Object.keys(newestResult(folder)!.scenarios)).toEqual(["latest", "growth"]);
    keepResult(benchReport({ scenarios: { latest: other } }), true, folder);
    expect(newestResult(folder)!.scenarios["latest"]!.title).toBe("another");
  });

  it("need a folder that can be written, and say so before anything is measured", () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    expect(() => requireResultsFolder(file)).toThrow(expect.objectContaining({ code: "file_unwritable" }));
    expect(() => requireResultsFolder(file)).toThrow(/^Results cannot be kept in .*: EEXIST/);
  });

  it("refuse a part that was measured in another way", () => {
    keepResult(benchReport(), false, folder);
    expect(() => keepResult(benchReport({ rows: 2_000 }), true, folder)).toThrow("another rows: 1000, now 2000");
  });
});
