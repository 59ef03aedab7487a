/**
 * Windows of 1,000, 10,000 and a million one-minute bars of one series into typed arrays, beside a COPY of the same rows that
 * nobody decodes, and beside row objects read by hand. The repetitions of all are interleaved.
 */
import type { Store } from "../../client/open-store.ts";
import { drainCopy } from "../../database/copy-stream.ts";
import type { Connection } from "../../database/pool.ts";
import type { BarInput } from "../../datasets/bars.ts";
import { COPY_COLUMNS } from "../encode-copy.ts";
import { generateMarket } from "../generate-market.ts";
import { fillByHand, HAND_BARS, type HandWritten, withHandWritten } from "../hand-written.ts";
import { countPartitions, writeHistory } from "../history.ts";
import {
  type BenchContext,
  dropBars,
  type Figure,
  type Scenario,
  SEED,
  settle,
  type Target,
  withBenchStore,
} from "../scenario.ts";
import { readFigure, type Turn, takeTurns } from "../turns.ts";

/** One of the symbols; its rows lie among those of the others, as live data leaves them. */
const AMONG_OTHERS = "SIM007";
/** A series of its own, with as many bars as are loaded, over years. */
const LONG = "LONG";
const SERIES_BARS = 10_000;
const FIRST_DAY = new Date("2026-01-05");
/** So long before anything else that months do not meet. */
const LONG_FIRST_DAY = new Date("2005-01-03");
const ROUNDS = 20;
/** Of a million bars. */
const LONG_ROUNDS = 5;
const TARGET_MS = 12;
const TARGET_TIMES_COPY = 1.5;
const BOUNDED = "readColumns";

const COPY = "the owner's COPY, not decoded";
const BY_HAND = `select ts, open_price, high_price, low_price, close_price, volume, trade_count, vwap from ${HAND_BARS}
  where tenant = 'default' and vendor = $1 and symbol = $2 and timeframe = $3 and ts >= $4 and ts < $5 order by ts`;

interface Window {
  readonly id: number;
  readonly symbol: string;
  readonly bars: number;
  readonly start: Date;
  readonly end: Date;
  readonly rounds: number;
}

export const window: Scenario = {
  name: "window",
  title: "windows of one series into typed arrays, COPY of the same rows out, and rows read by hand",
  run: (context) =>
    withHandWritten(context, async ({ ways, notes }) => {
      const { owner } = context.database;
      await dropBars(owner);
      await withBenchStore(context, (store) => load(context, store));
      await settle(owner);
      const windows = [
        await windowOf(owner, AMONG_OTHERS, 1_000, ROUNDS),
        await windowOf(owner, AMONG_OTHERS, SERIES_BARS, ROUNDS),
      ];
      await fillByHand(owner);
      const figures = await readAll(context, ways, windows);
      await withBenchStore(context, async (store) => {
        await writeHistory(store, FIRST_DAY, context.signal);
        await store.bars.upsert(longBars(context.rows), { signal: context.signal });
      });
      await settle(owner);
      await fillByHand(owner);
      windows.push(await windowOf(owner, LONG, context.rows, LONG_ROUNDS));
      figures.push(...(await readAll(context, ways, windows)));
      return {
        figures,
        targets: targetsOf(figures),
        notes: [
          "The first read is that of a new store: without a connection, and without plans in the server's process.",
          ...notes,
        ],
      };
    }),
};

async function load(context: BenchContext, store: Store): Promise<void> {
  const symbols = Math.max(10, Math.round(context.rows / SERIES_BARS));
  const market = { symbols, minutes: SERIES_BARS, seed: SEED, firstDay: FIRST_DAY, order: "time" } as const;
  await store.bars.upsert(generateMarket(market), { signal: context.signal });
}

function* longBars(bars: number): Generator<BarInput> {
  const market = { symbols: 1, minutes: bars, seed: SEED, firstDay: LONG_FIRST_DAY };
  for (const bar of generateMarket(market)) yield { ...bar, symbol: LONG };
}

/** The last so many bars of a series. */
async function windowOf(owner: Connection, symbol: string, bars: number, rounds: number): Promise<Window> {
  const { rows } = await owner.query<{ id: number; start: number; end: number; bars: number }>(
    `select series_id as id, count(*)::int4 as bars,
       extract(epoch from min(ts))::float8 * 1000 as start, extract(epoch from max(ts))::float8 * 1000 + 1 as end
     from (
       select series_id, ts from store.bars_data join store.bars_series using (series_id)
       where symbol = $1 and timeframe = '1m' order by ts desc limit $2
     ) w group by series_id`,
    [symbol, bars],
  );
  const { id, start, end, bars: found } = rows[0]!;
  return { id, symbol, bars: found, start: new Date(start), end: new Date(end), rounds };
}

async function readAll(
  context: BenchContext,
  ways: readonly HandWritten[],
  windows: readonly Window[],
): Promise<Figure[]> {
  const partitions = await countPartitions(context.database.owner);
  const figures: Figure[] = [];
  for (const window of windows) {
    figures.push(...(await readWindow(context, ways, window)).map((figure) => ({ partitions, ...figure })));
  }
  return figures;
}

function readWindow(context: BenchContext, ways: readonly HandWritten[], window: Window): Promise<Figure[]> {
  const { owner } = context.database;
  const { id, symbol, bars, start, end, rounds } = window;
  const series = { vendor: "generated", symbol, timeframe: "1m" };
  const copy = `copy (select ${COPY_COLUMNS} from store.bars_data where series_id = ${id}
    and ts >= '${start.toISOString()}' and ts < '${end.toISOString()}' order by ts) to stdout (format binary)`;
  return withBenchStore(context, async (store) => {
    const turns: Record<string, Turn> = {
      [COPY]: { rows: bars, run: () => drainCopy(owner, copy) },
      [BOUNDED]: { rows: bars, run: () => store.bars.readColumns({ ...series, start, end }) },
    };
    for (const { name, select } of ways) {
      turns[name] = { rows: bars, run: () => select(BY_HAND, [series.vendor, symbol, series.timeframe, start, end]) };
    }
    const taken = await takeTurns(owner, context.signal, rounds, turns);
    return Object.entries(taken).map(([read, one]) => ({ bars, read, ...readFigure(one, taken[COPY]!) }));
  });
}

function targetsOf(figures: readonly Figure[]): Target[] {
  const tens = figures.filter(({ bars, read }) => bars === SERIES_BARS && read === BOUNDED);
  const times = Math.max(...tens.map(({ times_copy }) => times_copy as number));
  const slowest = Math.max(...tens.map(({ warm_ms }) => warm_ms as number));
  return [
    {
      text: `${SERIES_BARS} bars in at most ${TARGET_TIMES_COPY} times the time of COPY out: ${times.toFixed(2)} times`,
      met: times <= TARGET_TIMES_COPY,
    },
    {
      text: `${SERIES_BARS} bars in less than ${TARGET_MS} ms: ${slowest.toFixed(1)} ms at most`,
      met: slowest < TARGET_MS,
    },
  ];
}
