/**
 * The coordinator's settings: workers, rows of a batch and capacity, each beside the direct upsert of the same rows. It
 * measures what docs/tuning.md shows. All of it is done in turns.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { openStore } from "../../client/open-store.ts";
import { createCoordinator } from "../../coordinator/create-coordinator.ts";
import type { BarColumns } from "../bar-columns.ts";
import { makeBars } from "../bar-load.ts";
import { CLIENT_APPLICATION, makeTemporaryFolder } from "../bench-database.ts";
import { emptyBars } from "../copy-limit.ts";
import { spread } from "../measure.ts";
import { type BenchContext, type Figure, REPETITIONS, type Scenario, withBenchStore } from "../scenario.ts";
import { rateOf, type Taken, type Turn, takeTurns, timeRatio, timesOf } from "../turns.ts";
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
    const { signal, database } = context;
    const { owner } = database;
    const folder = await makeTemporaryFolder();
    try {
      const bars = makeBars(Math.min(context.rows, MAX_ROWS));
      await upsert(context, bars); // Makes series and partitions.
      const turn = { rows: bars.length, prepare: () => emptyBars(owner) };
      const turns: Record<string, Turn> = { upsert: { ...turn, run: () => upsert(context, bars) } };
      for (const [at, variant] of VARIANTS.entries()) {
        turns[`variant ${at}`] = { ...turn, run: () => coordinated(context, bars, folder, variant) };
      }
      const [direct, ...taken] = Object.values(await takeTurns(owner, signal, REPETITIONS, turns));
      return {
        figures: [
          { workers: "upsert", batch_rows: 5_000, capacity_rows: null, ...measured(direct!, direct!) },
          ...VARIANTS.map((variant, at) => ({ ...settingsOf(variant), ...measured(taken[at]!, direct!) })),
        ],
        targets: [],
        notes: ["of_upsert is the time beside that of the direct upsert over one connection; less is better."],
      };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

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

function settingsOf({ workers, batchRows, capacity = Math.max(10_000, 4 * workers * batchRows) }: Variant): Figure {
  return { workers, batch_rows: batchRows, capacity_rows: capacity };
}

function measured(taken: Taken, direct: Taken): Figure {
  return { rows_per_s: rateOf(taken), spread: spread(timesOf(taken)), of_upsert: timeRatio(taken, direct) };
}
