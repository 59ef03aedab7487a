/**
 * Compares ratios of a short run with those in bench/ratios.json and fails when one is lost for certain: outside the measured
 * spread by more than a margin, in two runs after each other. `--renew` measures several runs and writes the file.
 */
import { accessSync, constants, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import {
  type CommittedRatios,
  type Comparison,
  committedRatios,
  compareRatios,
  confirmedLosses,
  type MeasuredRatios,
} from "./bench/compare-ratios.ts";
import { measureRatios } from "./bench/measure-ratios.ts";
import { runScript } from "./run-script.ts";

interface RatiosFile {
  /** On what they were measured, for people. */
  readonly measured_on: string;
  readonly ratios: CommittedRatios;
}

/** Runs of which the committed spread is made. */
const RENEWAL_RUNS = 5;
const file = new URL("../bench/ratios.json", import.meta.url);

await runScript("npm run bench:guard [-- --renew]", async (signal) => {
  const { values } = parseArgs({ options: { renew: { type: "boolean", default: false } } });
  await (values.renew ? renew(signal) : guard(signal));
});

async function renew(signal: AbortSignal): Promise<void> {
  accessSync(file, constants.W_OK);
  const runs: MeasuredRatios[] = [];
  for (let run = 0; run < RENEWAL_RUNS; run++) {
    runs.push(await measureRatios(signal));
    console.log(`Run ${run + 1} of ${RENEWAL_RUNS} is measured.`);
  }
  const measured_on = `${cpus()[0]?.model.trim() ?? "unknown processor"}, ${cpus().length} cores, Node ${process.versions.node}`;
  const content: RatiosFile = { measured_on, ratios: committedRatios(runs) };
  writeFileSync(file, `${JSON.stringify(content, undefined, 2)}\n`);
  console.table(content.ratios);
}

async function guard(signal: AbortSignal): Promise<void> {
  const { ratios } = JSON.parse(readFileSync(file, "utf8")) as RatiosFile;
  const first = compareRatios(ratios, await measureRatios(signal));
  print(first);
  if (!first.some(({ verdict }) => verdict === "worse")) return;
  console.log("Measured once more, to be certain:");
  const second = compareRatios(ratios, await measureRatios(signal));
  print(second);
  const lost = confirmedLosses(first, second);
  if (lost.length === 0) return;
  console.error(`Slower than before: ${lost.join("; ")}. If that is meant: npm run bench:guard -- --renew`);
  process.exitCode = 1;
}

function print(comparisons: readonly Comparison[]): void {
  const percent = (part: number | undefined): string => (part === undefined ? "-" : `${Math.round(part * 100)} %`);
  const rows = comparisons.map(({ name, committed, median, interval, verdict }) => ({
    ratio: name,
    committed: `${percent(committed.median)} (${percent(committed.low)} to ${percent(committed.high)})`,
    now: `${percent(median ?? undefined)} (${percent(interval?.[0])} to ${percent(interval?.[1])})`,
    verdict,
  }));
  console.table(rows);
}
