/**
 * Half of what the machine can do, for as long as is asked: `npm run soak -- --minutes 60`. Bars go through a coordinator
 * with a spool into a PostgreSQL of its own. Memory is read while nothing waits and the garbage is gone; printed at the end is how it
 * grew, in MB per hour, with the uncertainty of that. Ends with 1 when the heap grew beyond it and by more than 5 %: a leak
 * of one byte a row is many times that within six minutes.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn, setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Coordinator, createCoordinator } from "../src/coordinator/create-coordinator.ts";
import { migrateUp } from "../src/database/migrator.ts";
import type { BarInput } from "../src/datasets/bars.ts";
import { StoreError } from "../src/errors/store-error.ts";
import { startThrowawayCluster } from "../test/support/throwaway-cluster.ts";
import { runScript } from "./run-script.ts";

const SYMBOLS = 500;
/** Keys come again after so many minutes of each symbol, with other values: the database stays of one size. */
const MINUTES = 4_000;
const FIRST_MS = Date.UTC(2026, 0, 28);
const ROWS_PER_CALL = 500;
const CALLERS = 4;
/** The fastest that rows get through is measured for so long. */
const MEASURE_MS = 15_000;
const SHARE = 0.5;
const SAMPLE_MS = 5_000;
const PRINT_EVERY = 6;
/** Caches fill, code is compiled and the heap finds its size before memory says anything. */
const WARM_UP_PART = 0.4;
/** Of the mean, over the whole time. */
const FLAT_SHARE = 0.05;
const MB = 1_048_576;
/** A week. */
const MAX_MINUTES = 10_080;

interface Sample {
  readonly atHours: number;
  readonly rss: number;
  readonly heap: number;
  /** Buffers outside the heap. */
  readonly external: number;
}

let produced = 0;

function nextRows(): BarInput[] {
  return Array.from({ length: ROWS_PER_CALL }, () => {
    const at = produced++;
    const minute = Math.floor(at / SYMBOLS) % MINUTES;
    const price = 100 + (at % 977) / 8;
    return {
      ...{ vendor: "soak", symbol: `S${at % SYMBOLS}`, timeframe: "1m", ts: new Date(FIRST_MS + minute * 60_000) },
      ...{ open_price: price, high_price: price + 1, low_price: price - 1, close_price: price, volume: at },
    };
  });
}

async function submitNext(coordinator: Coordinator, signal: AbortSignal): Promise<void> {
  if (signal.aborted) throw new StoreError("aborted", "The soak was stopped.");
  await coordinator.submitMany("bars", nextRows());
}

/** Rows per second that get into the database when producers wait for nothing but acceptance. */
async function measureRate(coordinator: Coordinator, signal: AbortSignal): Promise<number> {
  const startedAt = performance.now();
  const before = produced;
  const caller = async (): Promise<void> => {
    while (performance.now() - startedAt < MEASURE_MS) await submitNext(coordinator, signal);
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  await coordinator.flush();
  return (produced - before) / ((performance.now() - startedAt) / 1_000);
}

/** Produces at a rate; memory is read now and then, when everything is stored and the garbage is gone. */
async function soakAt(
  coordinator: Coordinator,
  rowsPerS: number,
  endMs: number,
  signal: AbortSignal,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  const startedAt = performance.now();
  for (let calls = 1; performance.now() < endMs; calls++) {
    await submitNext(coordinator, signal);
    const aheadMs = startedAt + (calls * ROWS_PER_CALL * 1_000) / rowsPerS - performance.now();
    if (aheadMs > 1) await wait(aheadMs);
    if (performance.now() < startedAt + (samples.length + 1) * SAMPLE_MS) continue;
    samples.push(await takeSample(coordinator, (performance.now() - startedAt) / 3_600_000));
    if (samples.length % PRINT_EVERY === 1) printSample(samples.at(-1)!);
  }
  return samples;
}

async function takeSample(coordinator: Coordinator, atHours: number): Promise<Sample> {
  await coordinator.flush();
  globalThis.gc?.();
  await turn(); // Buffers go after the objects that held them.
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { atHours, rss: rss / MB, heap: heapUsed / MB, external: external / MB };
}

function printSample({ atHours, rss, heap, external }: Sample): void {
  console.log(
    `${(atHours * 60).toFixed(1).padStart(6)} min  rss ${rss.toFixed(1)} MB  heap ${heap.toFixed(2)} MB  ` +
      `external ${external.toFixed(2)} MB  ${produced} rows so far`,
  );
}

interface Slope {
  /** Least squares, per hour. */
  readonly slope: number;
  /** Twice the standard error of that. */
  readonly error: number;
  /** What the slope makes of the whole time, as a part of the mean. */
  readonly share: number;
}

function slopeOf(samples: readonly Sample[], value: (sample: Sample) => number): Slope {
  const count = samples.length;
  const mean = (of: (sample: Sample) => number): number => samples.reduce((sum, one) => sum + of(one), 0) / count;
  const [meanX, meanY] = [mean(({ atHours }) => atHours), mean(value)];
  const spreadX = samples.reduce((sum, { atHours }) => sum + (atHours - meanX) ** 2, 0);
  const slope = samples.reduce((sum, one) => sum + (one.atHours - meanX) * (value(one) - meanY), 0) / spreadX;
  const rest = samples.reduce((sum, one) => sum + (value(one) - meanY - slope * (one.atHours - meanX)) ** 2, 0);
  const hours = samples.at(-1)!.atHours - samples[0]!.atHours;
  return { slope, error: 2 * Math.sqrt(rest / (count - 2) / spreadX), share: (slope * hours) / meanY };
}

async function soak(minutes: number, signal: AbortSignal): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "mds-soak-"));
  const cluster = await startThrowawayCluster();
  try {
    await migrateUp({ adminUrl: cluster.adminUrl, serviceUrl: cluster.url });
    const spool = { dir: join(folder, "spool") };
    await using coordinator = await createCoordinator({
      ...{ url: cluster.url, spool },
      deadLetterDir: join(folder, "letters"),
    });
    const fullRate = await measureRate(coordinator, signal);
    console.log(`Full load: ${Math.round(fullRate)} rows/s into the database. Half of it for ${minutes} minutes:`);
    const endMs = performance.now() + minutes * 60_000;
    const samples = await soakAt(coordinator, fullRate * SHARE, endMs, signal);
    await coordinator.flush();
    printEnd(samples, coordinator.health().rows.deadLettered);
  } finally {
    await cluster.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

function printEnd(samples: readonly Sample[], unstored: number): void {
  const settled = samples.slice(Math.ceil(samples.length * WARM_UP_PART));
  console.log(
    `\nThe slope of memory over ${settled.length} samples, after a warm-up of ${samples.length - settled.length}:`,
  );
  for (const name of ["rss", "heap", "external"] as const) {
    const { slope, error, share } = slopeOf(settled, (sample) => sample[name]);
    const isFlat = slope <= error || share <= FLAT_SHARE;
    console.log(
      `${name.padEnd(8)} ${slope.toFixed(1).padStart(8)} ± ${error.toFixed(1)} MB an hour, ${(share * 100).toFixed(1)} % in ` +
        `that time: ${isFlat ? "flat" : "it grows"}`,
    );
    if (name === "heap" && !isFlat) process.exitCode = 1;
  }
  if (unstored === 0) return;
  console.log(`${unstored} rows were not stored.`);
  process.exitCode = 1;
}

await runScript("npm run soak [-- --minutes MINUTES]", async (signal) => {
  const { values } = parseArgs({ options: { minutes: { type: "string", default: "5" } } });
  const minutes = Number(values.minutes);
  if (!(minutes >= 1 && minutes <= MAX_MINUTES)) {
    throw new StoreError("usage", `--minutes '${values.minutes}' is no number from 1 to ${MAX_MINUTES}.`);
  }
  await soak(minutes, signal);
});
