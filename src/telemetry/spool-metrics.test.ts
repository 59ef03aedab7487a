import { expect, it } from "vitest";
import { StoreMetrics } from "./metrics.ts";
import { type SpoolGauges, SpoolMetrics } from "./spool-metrics.ts";

/** The samples of a rendering. */
const samplesOf = (text: string): string[] =>
  text
    .split("\n")
    .filter((line) => /^mds_(spool|dead)/.test(line))
    .sort();

it("shows the spool and the dead letters as they are at the scrape", async () => {
  const metrics = new StoreMetrics();
  const spoolMetrics = new SpoolMetrics(metrics.registry);
  const spool: SpoolGauges = { bytes: 5, maxBytes: 10, depth: 2, oldestAcceptedAt: Date.now() - 60_000, damaged: 1 };
  spoolMetrics.watchSpool(() => spool);
  spoolMetrics.watchDeadLetters(async () => 7);
  spoolMetrics.countDeadLetters([
    { dataset: "bars", code: "bar_impossible" },
    { dataset: "bars", code: "bar_impossible" },
    { dataset: "news", code: "nul_in_text" },
  ]);
  expect(samplesOf(await metrics.render())).toEqual([
    "mds_dead_letters 7",
    'mds_dead_letters_total{dataset="bars",code="bar_impossible"} 2',
    'mds_dead_letters_total{dataset="news",code="nul_in_text"} 1',
    "mds_spool_bytes 5",
    "mds_spool_damaged_records 1",
    "mds_spool_max_bytes 10",
    expect.stringMatching(/^mds_spool_oldest_age_seconds 6\d(\.\d+)?$/),
    "mds_spool_records 2",
  ]);
});

it("says 0 when nothing waits, and renders also when the letters cannot be counted", async () => {
  const metrics = new StoreMetrics();
  const spoolMetrics = new SpoolMetrics(metrics.registry);
  spoolMetrics.watchSpool(() => ({ bytes: 0, maxBytes: 10, depth: 0, oldestAcceptedAt: undefined, damaged: 0 }));
  spoolMetrics.watchDeadLetters(() => Promise.reject(new RangeError("no folder")));
  const samples = samplesOf(await metrics.render());
  expect(samples).toContain("mds_spool_oldest_age_seconds 0");
  expect(samples.filter((line) => line.startsWith("mds_dead_letters "))).toEqual(["mds_dead_letters 0"]);
});
