/**
 * How the store behaves as data grows: at each size the rate of fresh bars, one window, the latest prices and the dropping of
 * a month, all of them the same. It grows backwards: what is read and written is always the newest.
 *
 * The bars before are filled in by the owner, day by day as live data comes, by `insert … select` on the server, with the
 * marks for the aggregates that an upsert would leave. Nothing refreshes the aggregates meanwhile.
 */
import type { Store } from "../../client/open-store.ts";
import { BarColumns } from "../bar-columns.ts";
import { CLIENT_APPLICATION, OWNER_APPLICATION } from "../bench-database.ts";
import { copyBars, encodeBars } from "../copy-limit.ts";
import { generateMarket, symbolName } from "../generate-market.ts";
import { countPartitions } from "../history.ts";
import { goOn, median, repeat } from "../measure.ts";
import { dropMonth, fillMonth, secondBar } from "../old-month.ts";
import {
  type BenchContext,
  checkpoint,
  dropBars,
  type Figure,
  type Scenario,
  SEED,
  SYMBOLS,
  settle,
  type Target,
  withBenchStore,
} from "../scenario.ts";
import { slope } from "../slope.ts";
import { percent, rateFigure, takeTurns } from "../turns.ts";

const DAY_MS = 86_400_000;
const SESSION_START_MS = (14 * 60 + 30) * 60_000;
const SESSION_MINUTES = 390;
const ROWS_PER_DAY = SESSION_MINUTES * SYMBOLS;
/** Minutes of a fresh load: two of them make a day. */
const FRESH_MINUTES = SESSION_MINUTES / 2;
/** Days kept for fresh loads before today: six sizes', and yet all in the last two months. */
const FRESH_DAYS = 30;
const ROUNDS = 5;
const WINDOW_DAYS = 5;
const READS = 20;
const FIRST_DROPPED_YEAR = 2015;
const DROPPED_ROWS = 100_000;
/** Retention tells whole milliseconds, and none has no logarithm. */
const LEAST_MS = 0.5;
const TARGET_OF_FIRST = 0.9;
const CURVES = ["ingest_us_per_row", "ingest_cpu_us_per_row", "window_ms", "latest_ms", "retention_ms"] as const;

export const growth: Scenario = {
  name: "growth",
  title: "the same writes and reads at the newest end while there is more and more before it",
  async run(context) {
    const { owner } = context.database;
    await dropBars(owner);
    return withBenchStore(context, async (store) => {
      const load = await newLoad(context, store);
      const figures: Figure[] = [];
      for (const size of [...context.growthRows].sort((a, b) => a - b)) {
        const fill = await fillTo(context, store, load, size);
        figures.push({ ...fill, ...(await measureSize(context, store, load, figures.length)) });
      }
      await dropBars(owner);
      await owner.query("truncate store.bars_dirty");
      return {
        figures,
        targets: targetsOf(figures),
        notes: [
          `Slopes over ${figures.length} sizes; 0: stays, 1: grows as the data does. ${slopesText(figures)}.`,
          `Each size: ${FRESH_MINUTES * SYMBOLS} fresh rows in turns with COPY, a window of up to ${WINDOW_DAYS * SESSION_MINUTES} bars, ${SYMBOLS} latest prices, a month of ${DROPPED_ROWS} rows dropped.`,
          "Filled by the owner with insert … select on the server, in the order of time, marks for aggregates included.",
        ],
      };
    });
  },
};

interface Load {
  readonly ids: readonly number[];
  /** The last day that is filled, at midnight UTC; fresh loads come after it. */
  readonly lastDay: number;
  /** A fresh load, to be moved to its day. */
  readonly fresh: BarColumns;
  filledDays: number;
  freshLoads: number;
}

async function newLoad({ database: { owner }, signal }: BenchContext, store: Store): Promise<Load> {
  const today = Math.floor(Date.now() / DAY_MS) * DAY_MS;
  const market = {
    symbols: SYMBOLS,
    minutes: FRESH_MINUTES,
    seed: SEED,
    firstDay: new Date(0),
    order: "time",
  } as const;
  const fresh = new BarColumns(generateMarket(market), FRESH_MINUTES * SYMBOLS);
  const days = Array.from({ length: FRESH_DAYS }, (_, day) => secondBar("FIRST", today - day * DAY_MS));
  await store.bars.upsert(days); // Makes the partitions, which COPY needs.
  const load = { ids: [] as number[], lastDay: today - FRESH_DAYS * DAY_MS, fresh, filledDays: 0, freshLoads: 0 };
  await store.bars.upsert(nextFresh(load), { signal }); // Makes the series, and warms up.
  const { rows } = await owner.query<{ id: number }>(
    "select series_id as id from store.bars_series where vendor = 'generated' and timeframe = '1m' and symbol = any ($1)",
    [Array.from({ length: SYMBOLS }, (_, at) => symbolName(at))],
  );
  load.ids = rows.map(({ id }) => id);
  return load;
}

/** Bars of half a day that has none. */
function nextFresh(load: Load): BarColumns {
  const at = load.freshLoads++;
  const shiftMs = load.lastDay + (1 + Math.floor(at / 2)) * DAY_MS + (at % 2) * FRESH_MINUTES * 60_000;
  const moved = function* () {
    for (const bar of load.fresh) yield { ...bar, ts: new Date((bar.ts as Date).getTime() + shiftMs) };
  };
  return new BarColumns(moved(), load.fresh.length);
}

/** Fills days backwards until there are so many bars. */
async function fillTo(context: BenchContext, store: Store, load: Load, size: number): Promise<Figure> {
  const { owner } = context.database;
  const before = load.filledDays;
  const startedAt = performance.now();
  while (load.filledDays * ROWS_PER_DAY < size) {
    goOn(context.signal);
    await fillDay(context, store, load, load.lastDay - load.filledDays++ * DAY_MS);
  }
  const fillMs = performance.now() - startedAt;
  await settle(owner);
  const filled = (load.filledDays - before) * ROWS_PER_DAY;
  return {
    rows: load.filledDays * ROWS_PER_DAY + load.freshLoads * load.fresh.length,
    partitions: await countPartitions(owner),
    fill_rows_per_s: filled === 0 ? null : Math.round(filled / (fillMs / 1_000)),
  };
}

async function fillDay({ database: { owner } }: BenchContext, store: Store, load: Load, day: number): Promise<void> {
  await store.bars.upsert([secondBar("FIRST", day)]); // Makes the partition.
  const first = (day + SESSION_START_MS) / 1_000;
  await owner.query("begin");
  await owner.query(
    `insert into store.bars_data
       (series_id, ts, open_price, high_price, low_price, close_price, volume, trade_count, vwap)
     select id, to_timestamp($1 + 60 * minute), 100, 101, 99, 100 + (minute % 7) / 10.0, 1000 + minute, 10, 100.25
     from generate_series(0, $2::int4 - 1) minute cross join unnest($3::int4[]) id`,
    [first, SESSION_MINUTES, load.ids],
  );
  await owner.query(
    "insert into store.bars_dirty (series_ids, min_ts, max_ts) values ($1, to_timestamp($2), to_timestamp($3))",
    [load.ids, first, first + 60 * (SESSION_MINUTES - 1)],
  );
  await owner.query("commit");
}

async function measureSize(context: BenchContext, store: Store, load: Load, step: number): Promise<Figure> {
  const { database, growthRows, signal } = context;
  const { owner } = database;
  let fresh = load.fresh;
  let encoded: readonly Buffer[] = [];
  const turn = { rows: load.fresh.length };
  const taken = await takeTurns(owner, signal, ROUNDS, {
    copy: {
      ...turn,
      application: OWNER_APPLICATION,
      prepare: async () => {
        encoded = await encodeBars(owner, nextFresh(load));
        await checkpoint(owner);
      },
      run: () => copyBars(owner, encoded, signal),
    },
    ingest: {
      ...turn,
      application: CLIENT_APPLICATION,
      prepare: () => {
        fresh = nextFresh(load);
        return checkpoint(owner);
      },
      run: () => store.bars.upsert(fresh, { signal }),
    },
  });
  const days = Math.min(WINDOW_DAYS, Math.ceil(Math.min(...growthRows) / ROWS_PER_DAY));
  const [start, end] = [new Date(load.lastDay - (days - 1) * DAY_MS), new Date(load.lastDay + DAY_MS)];
  const series = { vendor: "generated", symbol: symbolName(6), timeframe: "1m" };
  const latest = { vendors: ["generated"], symbols: Array.from({ length: SYMBOLS }, (_, at) => symbolName(at)) };
  const windowMs = await repeat(READS, signal, () => store.bars.readColumns({ ...series, start, end }));
  const latestMs = await repeat(READS, signal, () => store.bars.latest(latest));
  const month = Date.UTC(FIRST_DROPPED_YEAR, step);
  await fillMonth(context, store, month, DROPPED_ROWS);
  const { detach_ms, drop_ms } = await dropMonth(context, month);
  const { rows_per_s, of_copy, client_cpu_us_per_row, server_cpu_us_per_row } = rateFigure(taken.ingest, taken.copy);
  const hasCpu = typeof server_cpu_us_per_row === "number";
  return {
    ingest_rows_per_s: rows_per_s!,
    of_copy: of_copy!,
    ingest_us_per_row: 1e6 / (rows_per_s as number),
    ingest_cpu_us_per_row: hasCpu ? (client_cpu_us_per_row as number) + server_cpu_us_per_row : null,
    window_ms: median(windowMs),
    latest_ms: median(latestMs),
    retention_ms: detach_ms! + drop_ms!,
  };
}

function slopesText(figures: readonly Figure[]): string {
  const sizes = figures.map(({ rows }) => rows as number);
  return CURVES.filter((curve) => figures.every((figure) => figure[curve] !== null))
    .map((curve) => {
      const value = slope(
        sizes,
        figures.map((figure) => Math.max(figure[curve] as number, LEAST_MS)),
      );
      return `${curve} ${value?.toFixed(2) ?? "-"}`;
    })
    .join(", ");
}

function targetsOf(figures: readonly Figure[]): Target[] {
  const [first, last] = [figures[0]!, figures.at(-1)!];
  const part = (last["ingest_rows_per_s"] as number) / (first["ingest_rows_per_s"] as number);
  const text = `ingest at ${last["rows"]} rows at ${percent(TARGET_OF_FIRST)} of that at ${first["rows"]} or more: ${percent(part)}`;
  return [{ text, met: part >= TARGET_OF_FIRST }];
}
