/**
 * Row objects through the public client beside a binary COPY of the same rows, encoded before, into the same table.
 * The repetitions of both are interleaved, so that a disturbance of the machine meets both.
 */
import type { Store } from "../../client/open-store.ts";
import { copyIn } from "../../database/copy-stream.ts";
import type { Connection } from "../../database/pool.ts";
import type { BarInput } from "../../datasets/bars.ts";
import { BarColumns } from "../bar-columns.ts";
import { CLIENT_APPLICATION, OWNER_APPLICATION } from "../bench-database.ts";
import { COPY_COLUMNS, encodeCopy } from "../encode-copy.ts";
import { generateMarket, symbolName } from "../generate-market.ts";
import { goOn, measure, median, spread, type Timing } from "../measure.ts";
import {
  type BenchContext,
  dropBars,
  type Figure,
  REPETITIONS,
  type Scenario,
  type ScenarioReport,
  SEED,
  SYMBOLS,
  settle,
  type Target,
  withBenchStore,
} from "../scenario.ts";

const ORDERS = ["series", "time"] as const;
/** So that the rows fall into two partitions. */
const FIRST_DAY = new Date("2026-01-28");

type Variant = "copy" | "fresh" | "replayed" | "fresh, 2 connections" | "replayed, 2 connections";
type Timings = Record<Variant, Timing<unknown>[]>;

interface Load {
  readonly owner: Connection;
  readonly store: Store;
  readonly bars: BarColumns;
  /** The same bars, by symbol. */
  readonly halves: readonly [BarColumns, BarColumns];
  readonly encoded: readonly Buffer[];
  readonly signal: AbortSignal;
}

export const ingest: Scenario = {
  name: "ingest",
  title: "upsert of row objects, and COPY of the same rows by the owner",
  async run(context) {
    const reports: ScenarioReport[] = [];
    for (const order of ORDERS) {
      reports.push(await withBenchStore(context, (store) => runOrder(context, store, order)));
    }
    return {
      figures: reports.flatMap(({ figures }) => figures),
      targets: reports.flatMap(({ targets }) => targets),
      notes: reports.flatMap(({ notes }) => notes),
    };
  },
};

async function runOrder(context: BenchContext, store: Store, order: (typeof ORDERS)[number]): Promise<ScenarioReport> {
  const { owner } = context.database;
  const minutes = Math.ceil(context.rows / SYMBOLS);
  const market = { symbols: SYMBOLS, minutes, seed: SEED, firstDay: FIRST_DAY, order };
  const bars = new BarColumns(generateMarket(market), minutes * SYMBOLS);
  const middle = symbolName(SYMBOLS / 2);
  const halves = [half(bars, (symbol) => symbol < middle), half(bars, (symbol) => symbol >= middle)] as const;
  await dropBars(owner);
  // Makes series and partitions, which COPY needs, and warms up both sides.
  await store.bars.upsert(bars, { signal: context.signal });
  const encoded = encodeCopy(bars, await seriesIds(owner));
  const timings: Timings = {
    copy: [],
    fresh: [],
    replayed: [],
    "fresh, 2 connections": [],
    "replayed, 2 connections": [],
  };
  for (let round = 0; round < REPETITIONS; round++) {
    await runRound({ owner, store, bars, halves, encoded, signal: context.signal }, timings);
  }
  return {
    figures: figuresOf(order, bars.length, timings),
    targets: targetsOf(order, timings),
    notes: [
      `Making row objects by ${order} took ${takingUs(bars).toFixed(2)} us a row, which the client's figures hold.`,
    ],
  };
}

function half(bars: BarColumns, isIn: (symbol: string) => boolean): BarColumns {
  const rows = function* (): Generator<BarInput> {
    for (const bar of bars) if (isIn(bar.symbol)) yield bar;
  };
  return new BarColumns(rows(), bars.length);
}

/** What taking the rows alone costs. */
function takingUs(bars: BarColumns): number {
  const startedAt = performance.now();
  let named = 0;
  for (const { symbol } of bars) named += symbol.length;
  return named === 0 ? 0 : ((performance.now() - startedAt) * 1_000) / bars.length;
}

async function runRound({ owner, store, bars, halves, encoded, signal }: Load, timings: Timings): Promise<void> {
  const take = async (variant: Variant, application: string, work: () => Promise<unknown>): Promise<void> => {
    goOn(signal);
    timings[variant].push(await measure(owner, application, work));
  };
  const statement = `copy store.bars_data (${COPY_COLUMNS}) from stdin (format binary)`;
  const one = (): Promise<unknown> => store.bars.upsert(bars, { signal });
  const two = (): Promise<unknown> => Promise.all(halves.map((half) => store.bars.upsert(half, { signal })));
  await empty(owner);
  await take("copy", OWNER_APPLICATION, () => copyIn(owner, statement, encoded, signal));
  await empty(owner);
  await take("fresh", CLIENT_APPLICATION, one);
  await settle(owner);
  await take("replayed", CLIENT_APPLICATION, one);
  await empty(owner);
  await take("fresh, 2 connections", CLIENT_APPLICATION, two);
  await settle(owner);
  await take("replayed, 2 connections", CLIENT_APPLICATION, two);
}

async function empty(owner: Connection): Promise<void> {
  await owner.query("truncate store.bars_data");
  await settle(owner);
}

async function seriesIds(owner: Connection): Promise<(symbol: string) => number> {
  const { rows } = await owner.query<{ symbol: string; series_id: number }>(
    "select symbol, series_id from store.bars_series where vendor = 'generated' and timeframe = '1m'",
  );
  const ids = new Map(rows.map((row) => [row.symbol, row.series_id]));
  return (symbol) => ids.get(symbol)!;
}

function figuresOf(order: string, rows: number, timings: Timings): Figure[] {
  return Object.entries(timings).map(([variant, list]) => {
    const times = list.map(({ ms }) => ms);
    const server = list.flatMap(({ serverMs }) => serverMs ?? []);
    return {
      order,
      variant,
      rows_per_s: Math.round(rows / (median(times) / 1_000)),
      of_copy: ofCopy(timings, variant as Variant),
      spread: spread(times),
      client_cpu_us_per_row: (median(list.map(({ clientMs }) => clientMs)) * 1_000) / rows,
      server_cpu_us_per_row: server.length < list.length ? null : (median(server) * 1_000) / rows,
    };
  });
}

/** Each repetition against the COPY of its own round. */
function ofCopy(timings: Timings, variant: Variant): number {
  return median(timings[variant].map(({ ms }, round) => timings.copy[round]!.ms / ms));
}

function targetsOf(order: string, timings: Timings): Target[] {
  const one = ofCopy(timings, "fresh");
  const two = ofCopy(timings, "fresh, 2 connections");
  const replay = ofCopy(timings, "replayed");
  const percent = (part: number): string => `${Math.round(part * 100)} %`;
  return [
    { text: `by ${order}: fresh rows at 40 % of COPY or more: ${percent(one)}`, met: one >= 0.4 },
    { text: `by ${order}: with two connections at 60 % of COPY or more: ${percent(two)}`, met: two >= 0.6 },
    {
      text: `by ${order}: a replay no slower than fresh rows: ${percent(replay)} of COPY to ${percent(one)}`,
      met: replay >= one,
    },
  ];
}
