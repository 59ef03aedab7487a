/**
 * Dropping a partition of bars, and making partitions on demand, while a writer upserts into another one: how long each
 * takes, and how long the writer had to wait at most. The partition, a month or TimescaleDB's chunk of seven days, is
 * filled on the server, in the order of the key.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Store } from "../../client/open-store.ts";
import type { DroppedPartition } from "../../database/engine/engine.ts";
import { openEngine } from "../../database/engine/open-engine.ts";
import type { BarInput } from "../../datasets/bars.ts";
import { StoreError } from "../../errors/store-error.ts";
import { goOn, median } from "../measure.ts";
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
/** From here, one month before is in the partition that is written, on either engine: only the other one is due. */
const NOW = "2020-03-03T00:00:00Z";
const FIRST_NEW_YEAR = 1990;
const NEW_MONTHS = 24;
const ROWS_PER_WRITE = 100;
/** How long the writer is watched alone, before anything else happens. */
const QUIET_MS = 3_000;
/** Series that one statement of the filling brings. */
const SERIES_PER_INSERT = 50;
const TARGET_DROP_MS = 1_000;
const TARGET_WAIT_MS = 100;

export const retention: Scenario = {
  name: "retention",
  title: "dropping a partition and making some, beside a writer into another one",
  async run(context) {
    await dropBars(context.database.owner);
    return withBenchStore(context, async (store) => {
      await store.bars.upsert([bar("FIRST", DROPPED_MONTH), bar("FIRST", WRITTEN_MONTH)]);
      await fillPartition(context);
      await settle(context.database.owner);
      const next = newBatches();
      const quiet = await besideWriter(context, next, () => pause(context));
      const drop = await besideWriter(context, next, () => dropPartition(context));
      const made = await besideWriter(context, next, () => makeMonths(store));
      return reportOf(context.retentionRows, quiet.waits, drop, made);
    });
  },
};

async function fillPartition({ database: { owner }, retentionRows, signal }: BenchContext): Promise<void> {
  const { rows } = await owner.query<{ first: number; end: number }>(
    `select extract(epoch from range_start)::float8 as first, extract(epoch from range_end)::float8 as end
     from store.partitions('bars') where range_start <= to_timestamp($1) and range_end > to_timestamp($1)`,
    [DROPPED_MONTH / 1_000],
  );
  const { first: start, end } = rows[0]!;
  const perSeries = Math.ceil(retentionRows / SYMBOLS);
  const stepSeconds = (end - start) / (perSeries + 1);
  for (let first = 0; first < SYMBOLS; first += SERIES_PER_INSERT) {
    goOn(signal);
    await owner.query(
      `insert into store.bars_data
         (series_id, ts, open_price, high_price, low_price, close_price, volume)
       select series, to_timestamp($1 + at * $2::float8), 100, 101, 99, 100.5, 1000
       from generate_series($3::int4, $4::int4) series, generate_series(1, $5::int4) at`,
      [start, stepSeconds, 1_000 + first, 1_000 + first + SERIES_PER_INSERT - 1, perSeries],
    );
  }
}

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
    return Array.from({ length: ROWS_PER_WRITE }, () => bar(symbol, WRITTEN_MONTH + written++));
  };
}

/** An abort is seen by the next step. */
async function pause({ signal }: BenchContext): Promise<void> {
  await sleep(QUIET_MS, undefined, { signal }).catch(() => undefined);
}

async function dropPartition({ database: { adminUrl, owner }, signal }: BenchContext): Promise<DroppedPartition> {
  await owner.query("update store.policies set keep_for = '1 month' where dataset = 'bars'");
  const engine = await openEngine(adminUrl, signal);
  const plan = await engine.planRetention({ now: NOW, countRows: false, signal });
  const [dropped, ...others] = await engine.applyRetention(plan, { signal });
  await owner.query("update store.policies set keep_for = null where dataset = 'bars'");
  if (dropped === undefined || others.length > 0) {
    throw new StoreError("internal", `Retention dropped ${plan.partitions.length} partitions in place of one.`);
  }
  return dropped;
}

/** How long the first row of each new month took, in ms, its partition included. */
async function makeMonths(store: Store): Promise<number[]> {
  const taken: number[] = [];
  for (let month = 0; month < NEW_MONTHS; month++) {
    const startedAt = performance.now();
    await store.bars.upsert([bar("NEW", Date.UTC(FIRST_NEW_YEAR, month))]);
    taken.push(performance.now() - startedAt);
  }
  return taken;
}

function bar(symbol: string, ts: number): BarInput {
  const prices = { open_price: 100, high_price: 101, low_price: 99, close_price: 100.5, volume: 1_000 };
  return { vendor: "generated", symbol, timeframe: "1s", ts: new Date(ts), ...prices };
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
