/**
 * Dropping a partition of bars, and making partitions on demand, while a writer upserts into another one: how long each
 * takes, and how long the writer had to wait at most. The partition, a month or TimescaleDB's chunk of seven days, is
 * filled on the server, in the order of the key.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Store } from "../../client/open-store.ts";
import type { DroppedPartition } from "../../database/engine/engine.ts";
import type { BarInput } from "../../datasets/bars.ts";
import { median } from "../measure.ts";
import { dropMonth, fillMonth, secondBar } from "../old-month.ts";
import {
  type BenchContext,
  dropBars,
  type Figure,
  type Scenario,
  type ScenarioReport,
  SYMBOLS,
  settle,
  withBenchStore,
} from "../scenario.ts";

const DROPPED_MONTH = Date.UTC(2020, 0);
const WRITTEN_MONTH = Date.UTC(2020, 1);
const FIRST_NEW_YEAR = 1990;
const NEW_MONTHS = 24;
const ROWS_PER_WRITE = 100;
/** How long the writer is watched alone, before anything else happens. */
const QUIET_MS = 3_000;
const TARGET_DROP_MS = 1_000;
const TARGET_WAIT_MS = 100;

export const retention: Scenario = {
  name: "retention",
  title: "dropping a partition and making some, beside a writer into another one",
  async run(context) {
    await dropBars(context.database.owner);
    return withBenchStore(context, async (store) => {
      await store.bars.upsert([secondBar("FIRST", WRITTEN_MONTH)]);
      await fillMonth(context, store, DROPPED_MONTH, context.retentionRows);
      await settle(context.database.owner);
      const next = newBatches();
      const quiet = await besideWriter(context, next, () => pause(context));
      const drop = await besideWriter(context, next, () => dropMonth(context, DROPPED_MONTH));
      const made = await besideWriter(context, next, () => makeMonths(store));
      return reportOf(context.retentionRows, quiet.waits, drop, made);
    });
  },
};

interface Beside<Result> {
  readonly result: Result;
  /** How long each of the writer's batches took, in ms. */
  readonly waits: readonly number[];
}

/** Does the work while a writer of its own writes one small batch of new bars after the other. */
async function besideWriter<Result>(
  context: BenchContext,
  next: () => BarInput[],
  work: () => Promise<Result>,
): Promise<Beside<Result>> {
  return withBenchStore(context, async (store) => {
    await store.bars.upsert(next());
    const end = Promise.withResolvers<never>();
    const waits: number[] = [];
    let isDone = false;
    const writing = (async () => {
      while (!isDone) {
        const startedAt = performance.now();
        await store.bars.upsert(next());
        waits.push(performance.now() - startedAt);
      }
    })();
    writing.catch(end.reject);
    try {
      return { result: await Promise.race([work(), end.promise]), waits };
    } finally {
      isDone = true;
      await writing.catch(() => {}); // What it failed with has ended the race.
    }
  });
}

/** Batches of bars of which none was written before. */
function newBatches(): () => BarInput[] {
  let batch = 0;
  let written = 0;
  return () => {
    const symbol = `W${batch++ % SYMBOLS}`;
    return Array.from({ length: ROWS_PER_WRITE }, () => secondBar(symbol, WRITTEN_MONTH + written++));
  };
}

/** An abort is seen by the next step. */
async function pause({ signal }: BenchContext): Promise<void> {
  await sleep(QUIET_MS, undefined, { signal }).catch(() => undefined);
}

/** How long the first row of each new month took, in ms, its partition included. */
async function makeMonths(store: Store): Promise<number[]> {
  const taken: number[] = [];
  for (let month = 0; month < NEW_MONTHS; month++) {
    const startedAt = performance.now();
    await store.bars.upsert([secondBar("NEW", Date.UTC(FIRST_NEW_YEAR, month))]);
    taken.push(performance.now() - startedAt);
  }
  return taken;
}

const TIMESCALE_NOTES = [
  "Counting the rows and dropping the chunk are one transaction; the time is of both, and only writers to that chunk wait.",
];

function reportOf(
  rows: number,
  quiet: readonly number[],
  drop: Beside<DroppedPartition>,
  made: Beside<readonly number[]>,
): ScenarioReport {
  const line = (what: string, ms: number | null, waits: readonly number[]): Figure => ({
    beside_the_writer: what,
    ms,
    writes: waits.length,
    write_median_ms: median(waits),
    write_longest_ms: Math.max(...waits),
  });
  const { detach_ms, drop_ms, partition } = drop.result;
  const dropMs = detach_ms! + drop_ms!;
  const longest = Math.max(...drop.waits, ...made.waits);
  return {
    figures: [
      line("nothing", null, quiet),
      line(`detach and drop ${drop.result.rows} rows`, dropMs, drop.waits),
      line(`a row of a new month, the longest of ${NEW_MONTHS}`, Math.max(...made.result), made.waits),
    ],
    targets: [
      {
        text: `a partition of ${rows} rows is detached and dropped in less than ${TARGET_DROP_MS} ms: ${dropMs} ms`,
        met: dropMs < TARGET_DROP_MS,
      },
      {
        text: `no write waits for more than ${TARGET_WAIT_MS} ms: ${longest.toFixed(0)} ms at most`,
        met: longest < TARGET_WAIT_MS,
      },
    ],
    notes: partition.startsWith("_hyper_")
      ? TIMESCALE_NOTES
      : [
          `The rows were out of sight after ${detach_ms} ms. Of the ${drop_ms} ms of dropping nearly all goes into the removal of files, when no lock is held any more.`,
          "Between the two the rows are counted, which nobody waits for and the time leaves out.",
        ],
  };
}
