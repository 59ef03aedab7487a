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

/** Three sessions before the end of a month and two after it: bars in the last two partitions. */
const FIRST_DAY = new Date("2026-01-28");
const SESSIONS_MINUTES = 5 * 390;
const READS = 20;
const TARGET_MS = 10;

export const latest: Scenario = {
  name: "latest",
  title: `latest prices of ${SYMBOLS} instruments`,
  async run(context) {
    const { owner } = context.database;
    await dropBars(owner);
    // As many bars as were asked for, thinned out over all sessions where that is fewer than the sessions have.
    const minutes = Math.min(SESSIONS_MINUTES, Math.ceil(context.rows / SYMBOLS));
    const market = { symbols: SYMBOLS, minutes, seed: SEED, firstDay: FIRST_DAY, order: "time" } as const;
    await withBenchStore(context, (store) => store.bars.upsert(generateMarket(market), { signal: context.signal }));
    await settle(owner);
    const few = await read(context);
    await withBenchStore(context, (store) => writeHistory(store, FIRST_DAY, context.signal));
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

async function read(context: BenchContext): Promise<Figure> {
  const symbols = Array.from({ length: SYMBOLS }, (_, at) => symbolName(at));
  const query = { vendors: ["generated"], symbols };
  const [first, ...warm] = await withBenchStore(context, (store) =>
    repeat(READS, context.signal, () => store.bars.latest(query)),
  );
  const partitions = await countPartitions(context.database.owner);
  return { partitions, first_ms: first!, warm_ms: median(warm), spread: spread(warm) };
}
