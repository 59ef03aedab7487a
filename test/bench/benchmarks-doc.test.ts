import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { chartText, withResults } from "../../scripts/bench/benchmarks-doc.ts";
import { newestResult } from "../../scripts/bench/results.ts";
import { benchReport } from "./bench-report.ts";

const page = readFileSync(new URL("../../docs/benchmarks.md", import.meta.url), "utf8");
const bar = { title: "Reads", kind: "bar", labels: ["read"], value: "warm_ms", unit: "ms" } as const;
const reads = [
  { partitions: 2, read: "mine", warm_ms: 1 },
  { partitions: 300, read: "mine", warm_ms: 12.345 },
  { partitions: 300, read: 'by "hand"', warm_ms: 60 },
  { partitions: 300, read: "not taken", warm_ms: null },
];

describe("docs/benchmarks.md", () => {
  it("is up to date with the newest result (else: npm run generate)", () => {
    expect(page).toBe(withResults(page, newestResult()));
  });

  it("keeps the text around the results, whatever they are", () => {
    const [before, after] = ["# Benchmarks\n", "<!-- End of results. -->\nThe end.\n"];
    const other = withResults(`${page}The end.\n`, benchReport());
    expect(other.startsWith(before)).toBe(true);
    expect(other.endsWith(after)).toBe(true);
    expect(withResults(other, newestResult())).toBe(`${page}The end.\n`);
  });

  it("shows figures, and targets that were missed before all", () => {
    const text = withResults(page, benchReport());
    expect(text).toContain("| mine | 12.3 |");
    expect(text).toContain("Of 2 targets 1 are met. Missed:\n\n- `latest`: faster than light: no");
    expect(text).toContain("- Met: faster than sound: yes");
    expect(text).toContain("- **Missed**: faster than light: no");
  });
});

describe("a chart", () => {
  it("has the figures that are asked for, rounded, from zero on", () => {
    expect(chartText({ ...bar, where: { partitions: "max" } }, reads)).toBe(
      [
        "```mermaid",
        "xychart-beta horizontal",
        '  title "Reads"',
        `  x-axis ["mine", "by 'hand'"]`,
        '  y-axis "ms" 0 --> 66',
        "  bar [12.3, 60]",
        "```",
      ].join("\n"),
    );
  });

  it("is left out where there is nothing to compare", () => {
    expect(chartText({ ...bar, where: { partitions: 2 } }, reads)).toBeUndefined();
    expect(chartText(bar, [])).toBeUndefined();
  });

  it("names thousands and millions as such along a line", () => {
    const line = { ...bar, kind: "line", labels: ["rows"] } as const;
    const text = chartText(line, [
      { rows: 487_500, warm_ms: 2 },
      { rows: 1_000_000, warm_ms: 3 },
      { rows: 50_120_000, warm_ms: 4 },
    ]);
    expect(text).toContain('x-axis ["488 k", "1 M", "50.1 M"]');
    expect(text).toContain("line [2, 3, 4]");
  });
});
