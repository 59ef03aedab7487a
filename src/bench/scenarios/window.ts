/**
 * Windows of 1,000, 10,000 and a million one-minute bars of one series into typed arrays, beside a COPY of the same rows that
 * nobody decodes, and beside row objects read by hand. The repetitions of all are interleaved.
 */
import type { Store } from "../../client/open-store.ts";
import type { Connection } from "../../database/pool.ts";
import type { BarInput } from "../../datasets/bars.ts";
import { firstDayBefore } from "../bar-load.ts";
import { COPY_COLUMNS } from "../encode-copy.ts";
import { generateMarket } from "../generate-market.ts";
import { fillByHand, HAND_BARS, type HandWrittenWays, withHandWritten } from "../hand-written.ts";
import { countPartitions, writeHistory } from "../history.ts";
import { readBeside, slowest } from "../read-beside.ts";
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
import { drainPieces } from "./arrow.ts";

/** One of the symbols; its rows lie among those of the others, as live data leaves them. */
const AMONG_OTHERS = "SIM007";
/** A series of its own, with as many bars as are loaded, over years. */
const LONG = "LONG";
const SERIES_BARS = 10_000;
const FIRST_DAY = new Date("2026-01-05");
const ROUNDS = 20;
/** Of a million bars. */
const LONG_ROUNDS = 5;
const TARGET_MS = 12;
const TARGET_TIMES_COPY = 1.5;
const BOUNDED = "readColumns";

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
    withHandWritten(context, async (hand) => {
      const { owner } = context.database;
      await dropBars(owner);
      await withBenchStore(context, (store) => load(context, store));
      await settle(owner);
      const windows = [
        await windowOf(owner, AMONG_OTHERS, 1_000, ROUNDS),
        await windowOf(owner, AMONG_OTHERS, SERIES_BARS, ROUNDS),
      ];
      await fillByHand(owner);
      const figures = await readAll(context, hand, windows);
      await withBenchStore(context, async (store) => {
        await writeHistory(store, FIRST_DAY, context.signal);
        await store.bars.upsert(longBars(context.rows), { signal: context.signal });
      });
      await settle(owner);
      await fillByHand(owner);
      windows.push(await windowOf(owner, LONG, context.rows, LONG_ROUNDS));
      figures.push(...(await readAll(context, hand, windows)));
      return {
        figures,
        targets: targetsOf(figures),
        notes: [
          "The first read is that of a new store: without a connection, and without plans in the server's process.",
          ...hand.notes,
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
  const market = { symbols: 1, minutes: bars, seed: SEED, firstDay: firstDayBefore(bars) };
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

async function readAll(context: BenchContext, hand: HandWrittenWays, windows: readonly Window[]): Promise<Figure[]> {
  const partitions = await countPartitions(context.database.owner);
  const figures: Figure[] = [];
  for (const window of windows) {
    figures.push(...(await readWindow(context, hand, window)).map((figure) => ({ partitions, ...figure })));
  }
  return figures;
}

function readWindow(context: BenchContext, hand: HandWrittenWays, window: Window): Promise<Figure[]> {
  const { id, symbol, bars, start, end, rounds } = window;
  const series = { vendor: "generated", symbol, timeframe: "1m" };
  return withBenchStore(context, async (store) => {
    const figures = await readBeside(context, hand, {
      rows: bars,
      rounds,
      copy: `copy (select ${COPY_COLUMNS} from store.bars_data where series_id = ${id}
        and ts >= '${start.toISOString()}' and ts < '${end.toISOString()}' order by ts) to stdout (format binary)`,
      store: {
        [BOUNDED]: () => store.bars.readColumns({ ...series, start, end }),
        readArrow: () => drainPieces(store.bars.readArrow({ ...series, start, end })),
      },
      byHand: { statement: BY_HAND, values: [...Object.values(series), start, end] },
    });
    return figures.map((figure) => ({ bars, ...figure }));
  });
}

function targetsOf(figures: readonly Figure[]): Target[] {
  const tens = figures.filter(({ bars }) => bars === SERIES_BARS);
  const times = slowest(tens, BOUNDED, "times_copy");
  const ms = slowest(tens, BOUNDED, "warm_ms");
  return [
    {
      text: `${SERIES_BARS} bars in at most ${TARGET_TIMES_COPY} times the time of COPY out: ${times.toFixed(2)} times`,
      met: times <= TARGET_TIMES_COPY,
    },
    {
      text: `${SERIES_BARS} bars in less than ${TARGET_MS} ms: ${ms.toFixed(1)} ms at most`,
      met: ms < TARGET_MS,
    },
  ];
}
