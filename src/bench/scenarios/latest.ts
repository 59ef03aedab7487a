/** The latest price of each of 500 instruments, in a small table and in one of decades. */
import type { Connection } from "../../database/pool.ts";
import { generateMarket, symbolName } from "../generate-market.ts";
import { fillByHand, HAND_BARS, type HandWrittenWays, withHandWritten } from "../hand-written.ts";
import { countPartitions, writeHistory } from "../history.ts";
import { readBeside, slowest } from "../read-beside.ts";
import {
  type BenchContext,
  dropBars,
  type Figure,
  type Scenario,
  SEED,
  SYMBOLS,
  settle,
  withBenchStore,
} from "../scenario.ts";

/** Five sessions around the start of this month: bars in the last two partitions. */
const DAYS_BEFORE = 5;
const SESSIONS_MINUTES = 5 * 390;
const READS = 20;
const TARGET_MS = 5;

const LATEST = "latest";
const BY_HAND = `select distinct on (symbol) symbol, ts, close_price from ${HAND_BARS}
  where tenant = 'default' and vendor = $1 and symbol = any ($2) and timeframe = '1m' order by symbol, ts desc`;

export const latest: Scenario = {
  name: "latest",
  title: `latest prices of ${SYMBOLS} instruments, the least the server needs for it, and distinct on by hand`,
  run: (context) =>
    withHandWritten(context, async (hand) => {
      const { owner } = context.database;
      await dropBars(owner);
      // With few bars asked for they end before the month does.
      const minutes = Math.min(SESSIONS_MINUTES, Math.ceil(context.rows / SYMBOLS));
      const firstDay = daysBeforeThisMonth();
      const market = { symbols: SYMBOLS, minutes, seed: SEED, firstDay, order: "time" } as const;
      const { signal } = context;
      await withBenchStore(context, (store) => store.bars.upsert(generateMarket(market), { signal }));
      await settle(owner);
      await fillByHand(owner);
      const few = await readAll(context, hand);
      await withBenchStore(context, (store) => writeHistory(store, firstDay, signal));
      await settle(owner);
      await fillByHand(owner);
      const figures = [...few, ...(await readAll(context, hand))];
      const most = slowest(figures, LATEST, "warm_ms");
      return {
        figures,
        targets: [{ text: `in less than ${TARGET_MS} ms: ${most.toFixed(1)} ms at most`, met: most < TARGET_MS }],
        notes: [
          "The first read is that of a new store: without a connection, and without plans in the server's process.",
          ...hand.notes,
        ],
      };
    }),
};

/** Prices are looked for from today on, so the bars have to be of late, as they are in use. */
function daysBeforeThisMonth(): Date {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1 - DAYS_BEFORE));
}

function readAll(context: BenchContext, hand: HandWrittenWays): Promise<Figure[]> {
  const { owner } = context.database;
  const symbols = Array.from({ length: SYMBOLS }, (_, at) => symbolName(at));
  return withBenchStore(context, async (store) => {
    const partitions = await countPartitions(owner);
    const figures = await readBeside(context, hand, {
      rows: SYMBOLS,
      rounds: READS,
      copy: await copyStatement(owner, symbols),
      store: { [LATEST]: () => store.bars.latest({ vendors: ["generated"], symbols }) },
      byHand: { statement: BY_HAND, values: ["generated", symbols] },
    });
    return figures.map((figure) => ({ partitions, ...figure }));
  });
}

/** The probes of the index alone, of series whose ids are known. */
async function copyStatement(owner: Connection, symbols: readonly string[]): Promise<string> {
  const { rows } = await owner.query<{ ids: string }>(
    "select string_agg(series_id::text, ', ') as ids from store.bars_series where timeframe = '1m' and symbol = any ($1)",
    [symbols],
  );
  return `copy (select ts, close_price from store.last_bars(array[${rows[0]!.ids}])) to stdout (format binary)`;
}
