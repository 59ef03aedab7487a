/**
 * What it takes to bring aggregates up to date after 100,000 late rows, in tables of two sizes: it should follow the
 * buckets that the rows touch and not the table.
 */
import type { Store } from "../../client/open-store.ts";
import { refreshAggregates } from "../../database/aggregates.ts";
import { openPool } from "../../database/pool.ts";
import type { BarInput } from "../../datasets/bars.ts";
import { OWNER_APPLICATION } from "../bench-database.ts";
import { generateMarket } from "../generate-market.ts";
import { goOn, median, spread } from "../measure.ts";
import {
  type BenchContext,
  dropBars,
  type Figure,
  REPETITIONS,
  type Scenario,
  SEED,
  SYMBOLS,
  settle,
  withBenchStore,
} from "../scenario.ts";

/** How much larger the second table is. */
const GROWTH = 4;
const LATE_ROWS = 100_000;
const LATE_MINUTES = LATE_ROWS / SYMBOLS;
/** Minutes between one late row of a series and the next. */
const PATTERNS = { "in a row": 1, "ten minutes apart": 10 } as const;
const TARGET_RATIO = 1.5;
/** The first refresh of the larger table works out all of it, in steps. */
const STEP_TIMEOUT_MS = 120_000;

export const aggregates: Scenario = {
  name: "aggregates",
  title: `a refresh after ${LATE_ROWS} late rows of ${SYMBOLS} series`,
  async run(context) {
    const figures: Figure[] = [];
    for (const factor of [1, GROWTH]) {
      await dropAll(context);
      figures.push(...(await withBenchStore(context, (store) => runSize(context, store, factor))));
    }
    await dropAll(context);
    const ratios = Object.keys(PATTERNS).map((pattern) => {
      const [small, large] = figures.filter(({ late_rows }) => late_rows === pattern).map(({ ms }) => ms as number);
      return { pattern, ratio: large! / small! };
    });
    return {
      figures,
      targets: ratios.map(({ pattern, ratio }) => ({
        text: `${pattern}: in a table of ${GROWTH} times the size at most ${TARGET_RATIO} times as long: ${ratio.toFixed(2)}`,
        met: ratio <= TARGET_RATIO,
      })),
      notes: [],
    };
  },
};

async function runSize(context: BenchContext, store: Store, factor: number): Promise<Figure[]> {
  const { database, rows, signal } = context;
  // At least as many minutes as the late rows reach over.
  const minutes = Math.max(Math.ceil(rows / SYMBOLS), LATE_MINUTES * PATTERNS["ten minutes apart"]) * factor;
  const market = { symbols: SYMBOLS, minutes, seed: SEED, order: "time" } as const;
  await store.bars.upsert(generateMarket(market), { signal });
  const all = await refreshOnce(context);
  await settle(database.owner);
  const figures = [figureOf(minutes * SYMBOLS, "all of them", [all])];
  for (const [pattern, step] of Object.entries(PATTERNS)) {
    const runs: Refreshed[] = [];
    for (let round = 1; round <= REPETITIONS; round++) {
      goOn(signal);
      await store.bars.upsert(corrected(market, minutes, step, round), { signal });
      runs.push(await refreshOnce(context));
    }
    figures.push(figureOf(minutes * SYMBOLS, pattern, runs));
  }
  return figures;
}

/** The last late minutes of the history, with another volume. */
function* corrected(
  market: Parameters<typeof generateMarket>[0],
  minutes: number,
  step: number,
  round: number,
): Generator<BarInput> {
  const first = minutes - LATE_MINUTES * step;
  let row = 0;
  for (const bar of generateMarket(market)) {
    const minute = Math.floor(row++ / SYMBOLS);
    if (minute >= first && (minute - first) % step === 0) yield { ...bar, volume: Number(bar.volume) + round };
  }
}

interface Refreshed {
  readonly ms: number;
  readonly buckets: number;
}

/** Brings the aggregates up to date, as the job does. */
export async function refreshOnce({ database, signal }: BenchContext): Promise<Refreshed> {
  const connection = { url: database.adminUrl, applicationName: OWNER_APPLICATION, maxConnections: 1 };
  const pool = openPool({ ...connection, connectTimeoutMs: 5_000 });
  try {
    await pool.query("select");
    const startedAt = performance.now();
    const { aggregates: counts } = await refreshAggregates({ pool, timeoutMs: STEP_TIMEOUT_MS }, { signal });
    const ms = performance.now() - startedAt;
    return { ms, buckets: Object.values(counts).reduce((sum, { written }) => sum + written, 0) };
  } finally {
    await pool.end();
  }
}

function figureOf(tableRows: number, lateRows: string, runs: readonly Refreshed[]): Figure {
  const times = runs.map(({ ms }) => ms);
  const buckets = runs[0]!.buckets;
  return {
    late_rows: lateRows,
    table_rows: tableRows,
    buckets,
    ms: median(times),
    spread: spread(times),
    us_per_bucket: (median(times) * 1_000) / buckets,
  };
}

/** Drops the bars, their aggregates and the marks. */
export async function dropAll({ database: { owner } }: BenchContext): Promise<void> {
  await dropBars(owner);
  const tables = ["bars_5m_data", "bars_15m_data", "bars_1h_data", "bars_1d_data", "bars_dirty"];
  await owner.query(`truncate ${tables.map((name) => `store.${name}`).join(", ")}`);
}
