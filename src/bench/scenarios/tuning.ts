/**
 * The coordinator's settings: workers, rows of a batch and capacity, each beside the direct upsert of the same rows. It
 * measures what docs/tuning.md shows. Repetitions of all variants are interleaved.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { openStore } from "../../client/open-store.ts";
import { createCoordinator } from "../../coordinator/create-coordinator.ts";
import { BarColumns } from "../bar-columns.ts";
import { CLIENT_APPLICATION, makeTemporaryFolder } from "../bench-database.ts";
import { generateMarket } from "../generate-market.ts";
import { goOn, median, repeat, spread } from "../measure.ts";
import {
  type BenchContext,
  type Figure,
  REPETITIONS,
  type Scenario,
  SEED,
  SYMBOLS,
  settle,
  withBenchStore,
} from "../scenario.ts";
import { partsOf } from "./coordinator.ts";

interface Variant {
  readonly workers: number;
  readonly batchRows: number;
  /** The least that these batches allow unless given. */
  readonly capacity?: number;
}

const VARIANTS: readonly Variant[] = [
  ...[1, 2, 4].flatMap((workers) => [500, 2_000, 5_000].map((batchRows) => ({ workers, batchRows }))),
  { workers: 4, batchRows: 2_000, capacity: 64_000 },
  { workers: 4, batchRows: 2_000, capacity: 256_000 },
];
/** As producers bring them over HTTP. */
const ROWS_PER_CALL = 2_000;
/** Enough for ratios; there are many variants. */
const MAX_ROWS = 200_000;
const MAX_SPOOL_BYTES = 8_589_934_592;

export const tuning: Scenario = {
  name: "tuning",
  title: "the coordinator with a spool under different settings, beside the direct upsert",
  async run(context) {
    const folder = await makeTemporaryFolder();
    const minutes = Math.ceil(Math.min(context.rows, MAX_ROWS) / SYMBOLS);
    const market = generateMarket({ symbols: SYMBOLS, minutes, seed: SEED, order: "time" });
    const bars = new BarColumns(market, minutes * SYMBOLS);
    try {
      const direct: number[] = [];
      const taken = new Map<Variant, number[]>(VARIANTS.map((variant) => [variant, []]));
      await upsert(context, bars); // Makes series and partitions.
      for (let round = 0; round < REPETITIONS; round++) {
        direct.push(await timed(context, () => upsert(context, bars)));
        for (const variant of VARIANTS) {
          taken.get(variant)!.push(await timed(context, () => coordinated(context, bars, folder, variant)));
        }
      }
      return {
        figures: [
          { workers: "upsert", batch_rows: 5_000, capacity_rows: null, ...measured(bars.length, direct, direct) },
          ...VARIANTS.map((variant) => figureOf(variant, bars.length, taken.get(variant)!, direct)),
        ],
        targets: [],
        notes: ["of_upsert is the time beside that of the direct upsert over one connection; less is better."],
      };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function timed(context: BenchContext, work: () => Promise<unknown>): Promise<number> {
  goOn(context.signal);
  await context.database.owner.query("truncate store.bars_data");
  await settle(context.database.owner);
  const [ms] = await repeat(1, context.signal, work);
  return ms!;
}

function upsert(context: BenchContext, bars: BarColumns): Promise<unknown> {
  return withBenchStore(context, (store) => store.bars.upsert(bars, { signal: context.signal }));
}

async function coordinated(
  context: BenchContext,
  bars: BarColumns,
  folder: string,
  { workers, batchRows, capacity }: Variant,
): Promise<void> {
  const store = await openStore({
    url: context.database.url,
    applicationName: CLIENT_APPLICATION,
    maxConnections: workers,
    signal: context.signal,
  });
  const target = await createCoordinator({
    ...{ store, workers, batchRows, capacity },
    deadLetterDir: join(folder, "dead-letters"),
    spool: { dir: join(folder, "spool"), maxBytes: MAX_SPOOL_BYTES },
  });
  try {
    for (const part of partsOf(bars, ROWS_PER_CALL)) await target.submitMany("bars", part);
    await target.flush();
  } finally {
    await target.stop();
    await store.close();
  }
}

function figureOf(variant: Variant, rows: number, taken: readonly number[], direct: readonly number[]): Figure {
  const { workers, batchRows, capacity = Math.max(10_000, 4 * workers * batchRows) } = variant;
  return { workers, batch_rows: batchRows, capacity_rows: capacity, ...measured(rows, taken, direct) };
}

function measured(rows: number, taken: readonly number[], direct: readonly number[]): Figure {
  return {
    rows_per_s: Math.round(rows / (median(taken) / 1_000)),
    spread: spread(taken),
    of_upsert: median(taken.map((ms, round) => ms / direct[round]!)),
  };
}
