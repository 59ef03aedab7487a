/** The latest price of each of 500 instruments, in a small table and in one of decades. */
import { generateMarket, symbolName } from "../generate-market.ts";
import { countPartitions, writeHistory } from "../history.ts";
import { median, repeat, spread } from "../measure.ts";
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
const TARGET_MS = 10;

export const latest: Scenario = {
  name: "latest",
  title: `latest prices of ${SYMBOLS} instruments`,
  async run(context) {
    const { owner } = context.database;
    await dropBars(owner);
    // With few bars asked for they end before the month does.
    const minutes = Math.min(SESSIONS_MINUTES, Math.ceil(context.rows / SYMBOLS));
    const firstDay = daysBeforeThisMonth();
    const market = { symbols: SYMBOLS, minutes, seed: SEED, firstDay, order: "time" } as const;
    await withBenchStore(context, (store) => store.bars.upsert(generateMarket(market), { signal: context.signal }));
    await settle(owner);
    const few = await read(context);
    await withBenchStore(context, (store) => writeHistory(store, firstDay, context.signal));
    await settle(owner);
    const figures = [few, await read(context)];
    const slowest = Math.max(...figures.map(({ warm_ms }) => warm_ms as number));
    return {
      figures,
      targets: [{ text: `in less than ${TARGET_MS} ms: ${slowest.toFixed(1)} ms at most`, met: slowest < TARGET_MS }],
      notes: [
        "The first read is that of a new store: without a connection, and without plans in the server's process.",
      ],
    };
  },
};

/** Prices are looked for from today on, so the bars have to be of late, as they are in use. */
function daysBeforeThisMonth(): Date {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1 - DAYS_BEFORE));
}

async function read(context: BenchContext): Promise<Figure> {
  const symbols = Array.from({ length: SYMBOLS }, (_, at) => symbolName(at));
  const query = { vendors: ["generated"], symbols };
  const [first, ...warm] = await withBenchStore(context, (store) =>
    repeat(READS, context.signal, () => store.bars.latest(query)),
  );
  const partitions = await countPartitions(context.database.owner);
  return { partitions, first_ms: first!, warm_ms: median(warm), spread: spread(warm) };
}
