/** A window of 10,000 one-minute bars into typed arrays, beside a COPY of the same rows that nobody decodes. */
import type { Store } from "../../client/open-store.ts";
import { drainCopy } from "../../database/copy-stream.ts";
import type { Connection } from "../../database/pool.ts";
import { COPY_COLUMNS } from "../encode-copy.ts";
import { generateMarket } from "../generate-market.ts";
import { countPartitions, writeHistory } from "../history.ts";
import { median, repeat, spread } from "../measure.ts";
import { type BenchContext, dropBars, type Figure, type Scenario, SEED, settle, withBenchStore } from "../scenario.ts";

const WINDOW_BARS = 10_000;
/** One of the symbols; its rows lie among those of the others, as live data leaves them. */
const SERIES = { vendor: "generated", symbol: "SIM007", timeframe: "1m" } as const;
const FIRST_DAY = new Date("2026-01-05");
const BOUNDS = { start: "2026-01-01T00:00:00Z", end: "2026-03-01T00:00:00Z" } as const;
const READS = 20;
const TARGET_MS = 12;

export const window: Scenario = {
  name: "window",
  title: `${WINDOW_BARS} bars of one series into typed arrays`,
  async run(context) {
    const { owner } = context.database;
    await dropBars(owner);
    await withBenchStore(context, (store) => load(context, store));
    await settle(owner);
    const few = await readAll(context);
    await withBenchStore(context, (store) => writeHistory(store, FIRST_DAY, context.signal));
    await settle(owner);
    const figures = [...few, ...(await readAll(context))];
    const warm = figures.filter(({ read }) => read === BOUNDED).map(({ warm_ms }) => warm_ms as number);
    const slowest = Math.max(...warm);
    return {
      figures,
      targets: [
        {
          text: `with start and end in less than ${TARGET_MS} ms: ${slowest.toFixed(1)} ms at most`,
          met: slowest < TARGET_MS,
        },
      ],
      notes: [
        "The first read is that of a new store: without a connection, and without plans in the server's process.",
      ],
    };
  },
};

async function load(context: BenchContext, store: Store): Promise<void> {
  const symbols = Math.max(10, Math.round(context.rows / WINDOW_BARS));
  const market = { symbols, minutes: WINDOW_BARS, seed: SEED, firstDay: FIRST_DAY, order: "time" } as const;
  await store.bars.upsert(generateMarket(market), { signal: context.signal });
}

const BOUNDED = "readColumns with start and end";

async function readAll(context: BenchContext): Promise<Figure[]> {
  const { owner } = context.database;
  const partitions = await countPartitions(owner);
  const statement = await copyStatement(owner);
  const reads: Readonly<Record<string, number[]>> = {
    [BOUNDED]: await readTimes(context, BOUNDS),
    "readColumns without": await readTimes(context, {}),
    "the owner's COPY, not decoded": await repeat(READS, context.signal, () => drainCopy(owner, statement)),
  };
  return Object.entries(reads).map(([read, [first, ...warm]]) => ({
    read,
    partitions,
    first_ms: first!,
    warm_ms: median(warm),
    spread: spread(warm),
  }));
}

function readTimes(context: BenchContext, bounds: Partial<typeof BOUNDS>): Promise<number[]> {
  return withBenchStore(context, (store) =>
    repeat(READS, context.signal, () => store.bars.readColumns({ ...SERIES, ...bounds })),
  );
}

async function copyStatement(owner: Connection): Promise<string> {
  const { rows } = await owner.query<{ id: number }>(
    "select series_id as id from store.bars_series where vendor = $1 and symbol = $2 and timeframe = $3",
    Object.values(SERIES),
  );
  return `copy (select ${COPY_COLUMNS} from store.bars_data where series_id = ${rows[0]!.id}
    and ts >= '${BOUNDS.start}' and ts < '${BOUNDS.end}' order by ts) to stdout (format binary)`;
}
