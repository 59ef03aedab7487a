/**
 * Trusted bulk load of row objects beside a binary COPY of the same rows, encoded before, by the owner into the same
 * table, and beside the upsert. Interleaved, so that a disturbance of the machine meets all.
 */
import type { Store } from "../../client/open-store.ts";
import { openTrustedLoad, type TrustedLoad } from "../../client/trusted-load.ts";
import { copyIn } from "../../database/copy-stream.ts";
import type { Connection } from "../../database/pool.ts";
import { BarColumns } from "../bar-columns.ts";
import { CLIENT_APPLICATION, OWNER_APPLICATION } from "../bench-database.ts";
import { COPY_COLUMNS, encodeCopy } from "../encode-copy.ts";
import { generateMarket } from "../generate-market.ts";
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
  withBenchStore,
} from "../scenario.ts";

const ORDERS = ["series", "time"] as const;
/** So that the rows fall into two partitions. */
const FIRST_DAY = new Date("2026-01-28");
const TARGET = 0.9;

type Variant = "copy" | "trusted" | "upsert" | "trusted, again";
type Timings = Record<Variant, Timing<unknown>[]>;

export const trusted: Scenario = {
  name: "trusted",
  title: "trusted bulk load of row objects, and COPY of the same rows by the owner",
  async run(context) {
    const reports: ScenarioReport[] = [];
    for (const order of ORDERS) {
      reports.push(await withBenchStore(context, (store) => runOrder(context, store, order)));
    }
    return {
      figures: reports.flatMap(({ figures }) => figures),
      targets: reports.flatMap(({ targets }) => targets),
      notes: ["The same rows loaded again go through the upsert after one refused COPY."],
    };
  },
};

async function runOrder(context: BenchContext, store: Store, order: (typeof ORDERS)[number]): Promise<ScenarioReport> {
  const { database, signal } = context;
  const minutes = Math.ceil(context.rows / SYMBOLS);
  const market = { symbols: SYMBOLS, minutes, seed: SEED, firstDay: FIRST_DAY, order };
  const bars = new BarColumns(generateMarket(market), minutes * SYMBOLS);
  await dropBars(database.owner);
  await store.bars.upsert(bars, { signal }); // makes series and partitions, which COPY needs
  const encoded = encodeCopy(bars, await seriesIds(database.owner));
  const timings: Timings = { copy: [], trusted: [], upsert: [], "trusted, again": [] };
  const { url, adminUrl } = database;
  const load = await openTrustedLoad({ url, adminUrl, applicationName: CLIENT_APPLICATION, signal });
  try {
    for (let round = 0; round < REPETITIONS; round++) await runRound(context, { store, load, bars, encoded }, timings);
  } finally {
    await load.close();
  }
  return reportOf(order, bars.length, timings);
}

interface Work {
  readonly store: Store;
  readonly load: TrustedLoad;
  readonly bars: BarColumns;
  readonly encoded: readonly Buffer[];
}

async function runRound({ database, signal }: BenchContext, work: Work, timings: Timings): Promise<void> {
  const { owner } = database;
  const { store, load, bars, encoded } = work;
  const take = async (variant: Variant, application: string, run: () => Promise<unknown>): Promise<void> => {
    goOn(signal);
    timings[variant].push(await measure(owner, application, run));
  };
  const statement = `copy store.bars_data (${COPY_COLUMNS}) from stdin (format binary)`;
  await empty(owner);
  await take("copy", OWNER_APPLICATION, () => copyIn(owner, statement, encoded, signal));
  await empty(owner);
  await take("trusted", `${CLIENT_APPLICATION} trusted`, () => load.dataset("bars").upsert(bars, { signal }));
  await take("trusted, again", CLIENT_APPLICATION, () => load.dataset("bars").upsert(bars, { signal }));
  await empty(owner);
  await take("upsert", CLIENT_APPLICATION, () => store.bars.upsert(bars, { signal }));
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

function reportOf(order: string, rows: number, timings: Timings): ScenarioReport {
  /** Each repetition against the COPY of its own round. */
  const ofCopy = (list: readonly Timing<unknown>[]): number =>
    median(list.map(({ ms }, round) => timings.copy[round]!.ms / ms));
  const figures: Figure[] = Object.entries(timings).map(([variant, list]) => {
    const times = list.map(({ ms }) => ms);
    const server = list.flatMap(({ serverMs }) => serverMs ?? []);
    return {
      order,
      variant,
      rows_per_s: Math.round(rows / (median(times) / 1_000)),
      of_copy: ofCopy(list),
      spread: spread(times),
      client_cpu_us_per_row: (median(list.map(({ clientMs }) => clientMs)) * 1_000) / rows,
      server_cpu_us_per_row: server.length < list.length ? null : (median(server) * 1_000) / rows,
    };
  });
  const part = ofCopy(timings.trusted);
  const text = `by ${order}: trusted load at ${TARGET * 100} % of COPY or more: ${Math.round(part * 100)} %`;
  return { figures, targets: [{ text, met: part >= TARGET }], notes: [] };
}
