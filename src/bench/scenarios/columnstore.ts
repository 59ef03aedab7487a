/**
 * What TimescaleDB gives and takes, beside the plain engine on the same server: size, fresh rows, the same rows again,
 * corrections and a window, all of them over chunks in the columnstore.
 */
import type { Store } from "../../client/open-store.ts";
import type { BarInput } from "../../datasets/bars.ts";
import { pricesOf } from "../bar-load.ts";
import { type BenchDatabase, openBenchDatabase } from "../bench-database.ts";
import { generateMarket } from "../generate-market.ts";
import { goOn, median, repeat } from "../measure.ts";
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

const WINDOW_BARS = 10_000;
const WINDOW_SYMBOLS = 10;
/** Before the bars of the window, so that neither knows the other's chunks. */
const FIRST_DAY = new Date("2025-01-06");
const WINDOW_DAY = new Date("2025-06-02");
const WINDOW = {
  vendor: "generated",
  symbol: "SIM007",
  timeframe: "1m",
  start: WINDOW_DAY.toISOString(),
  end: "2025-12-01T00:00:00Z",
} as const;
const READS = 20;
const TARGET_BYTES = 36;
const TARGET_SPEED = 0.85;

export const columnstore: Scenario = {
  name: "columnstore",
  title: "the columnstore of TimescaleDB beside the plain engine",
  async run(context) {
    if (!(await isTimescale(context.database))) {
      const note = "The database has no TimescaleDB in it; name a server with it by --dsn.";
      return { figures: [], targets: [], notes: [note] };
    }
    const { url, adminUrl } = context.database;
    const plain = await openBenchDatabase({ url, adminUrl, engine: "plain" });
    try {
      return await compare(context, { ...context, database: plain });
    } finally {
      await plain.close();
    }
  },
};

async function isTimescale({ owner }: BenchDatabase): Promise<boolean> {
  const { rows } = await owner.query<{ engine: string }>("select mds.engine() as engine");
  return rows[0]!.engine === "timescale";
}

async function compare(timescale: BenchContext, plain: BenchContext): Promise<ScenarioReport> {
  const both = [plain, timescale] as const;
  const speeds: [number[], number[]] = [[], []];
  for (let round = 0; round < REPETITIONS; round++) {
    for (const [at, context] of both.entries()) speeds[at]!.push(await freshRate(context));
  }
  for (const context of both) await withBenchStore(context, (store) => write(context, store, windowBars()));
  await compressAll(timescale);
  const bytes = [await plainBytes(plain), await columnstoreBytes(timescale)] as const;
  const replays = [await replayRate(plain), await replayRate(timescale)] as const;
  const moved = await rowsBeside(timescale);
  for (const context of both) await settle(context.database.owner);
  const windows = [await windowMs(plain), await windowMs(timescale)] as const;
  const corrections = [await correctMs(plain), await correctMs(timescale)] as const;
  const prices = [await pricesBytes(plain, plainBytes), await pricesBytes(timescale, columnstoreBytes)] as const;
  const figures = both.map(
    (_, at): Figure => ({
      engine: at === 0 ? "plain" : "timescale",
      bytes_a_bar: bytes[at]!,
      fresh_k_rows_a_s: median(speeds[at]!),
      replay_k_rows_a_s: replays[at]!,
      window_ms: windows[at]!,
      corrections_ms: corrections[at]!,
    }),
  );
  const ratio = median(speeds[1]) / median(speeds[0]);
  return {
    figures: [
      ...figures,
      { engine: "plain, prices and volume only", bytes_a_bar: prices[0] },
      { engine: "timescale, prices and volume only", bytes_a_bar: prices[1] },
    ],
    targets: [
      bytesTarget("prices and volume", prices[1]),
      bytesTarget("the same with trade count and vwap", bytes[1]),
      { text: `fresh rows at ${TARGET_SPEED} of plain's speed: ${ratio.toFixed(2)}`, met: ratio >= TARGET_SPEED },
      { text: `the same rows again move none out of the columnstore: ${moved}`, met: moved === 0 },
      {
        text: `${WINDOW_BARS} bars as fast as plain: ${windows[1].toFixed(1)} ms beside ${windows[0].toFixed(1)} ms`,
        met: windows[1] <= windows[0],
      },
    ],
    notes: [`Corrections are one bar in each of ${SYMBOLS} series, in one batch, into compressed chunks.`],
  };
}

function bytesTarget(of: string, bytes: number): Target {
  return { text: `${TARGET_BYTES} bytes a bar of ${of} at most: ${bytes.toFixed(1)}`, met: bytes <= TARGET_BYTES };
}

function freshBars({ rows }: BenchContext): Iterable<BarInput> {
  const minutes = Math.max(1, Math.round(rows / SYMBOLS));
  return generateMarket({ symbols: SYMBOLS, minutes, seed: SEED, firstDay: FIRST_DAY, order: "time" });
}

function windowBars(): Iterable<BarInput> {
  const market = {
    symbols: WINDOW_SYMBOLS,
    minutes: WINDOW_BARS,
    seed: SEED,
    firstDay: WINDOW_DAY,
    order: "time",
  } as const;
  return generateMarket(market);
}

async function write({ signal }: BenchContext, store: Store, bars: Iterable<BarInput>): Promise<number> {
  const startedAt = performance.now();
  const { inserted, updated, unchanged } = await store.bars.upsert(bars, { signal });
  return (inserted + updated + unchanged) / (performance.now() - startedAt);
}

/** Thousand rows a second into empty tables. */
async function freshRate(context: BenchContext): Promise<number> {
  goOn(context.signal);
  await dropBars(context.database.owner);
  await settle(context.database.owner);
  return withBenchStore(context, (store) => write(context, store, freshBars(context)));
}

function replayRate(context: BenchContext): Promise<number> {
  return withBenchStore(context, (store) => write(context, store, freshBars(context)));
}

async function compressAll({ database: { owner } }: BenchContext): Promise<void> {
  await owner.query(
    `select compress_chunk(format('%I.%I', c.chunk_schema, c.chunk_name)::regclass)
     from timescaledb_information.chunks c where c.hypertable_name = 'bars_data'`,
  );
}

async function pricesBytes(context: BenchContext, bytes: (context: BenchContext) => Promise<number>): Promise<number> {
  await dropBars(context.database.owner);
  await withBenchStore(context, (store) => write(context, store, pricesOf(freshBars(context))));
  if (await isTimescale(context.database)) await compressAll(context);
  return bytes(context);
}

/** Heap and indexes. */
async function plainBytes({ database: { owner } }: BenchContext): Promise<number> {
  return bytesOf(
    owner,
    "select sum(pg_total_relation_size(inhrelid)) as bytes from pg_inherits where inhparent = 'store.bars_data'::regclass",
  );
}

async function columnstoreBytes({ database: { owner } }: BenchContext): Promise<number> {
  return bytesOf(owner, "select hypertable_size('store.bars_data') as bytes");
}

async function bytesOf(owner: BenchDatabase["owner"], sql: string): Promise<number> {
  const { rows } = await owner.query<{ per_bar: number }>(
    `select (s.bytes / (select count(*) from store.bars_data))::float8 as per_bar from (${sql}) s`,
  );
  return rows[0]!.per_bar;
}

async function rowsBeside({ database: { owner } }: BenchContext): Promise<number> {
  const { rows } = await owner.query<{ name: string }>(
    `select format('%I.%I', c.chunk_schema, c.chunk_name) as name
     from timescaledb_information.chunks c where c.hypertable_name = 'bars_data'`,
  );
  let count = 0;
  for (const { name } of rows) {
    const { rows: counted } = await owner.query<{ n: number }>(`select count(*)::int4 as n from only ${name}`);
    count += counted[0]!.n;
  }
  return count;
}

function windowMs(context: BenchContext): Promise<number> {
  return withBenchStore(context, async (store) => {
    const times = await repeat(READS, context.signal, () => store.bars.readColumns(WINDOW));
    return median(times.slice(1));
  });
}

function correctMs(context: BenchContext): Promise<number> {
  const bars = [...freshBars({ ...context, rows: SYMBOLS })].map((bar) => ({ ...bar, volume: 1 }));
  return withBenchStore(context, async (store) => {
    const startedAt = performance.now();
    await store.bars.upsert(bars, { signal: context.signal });
    return performance.now() - startedAt;
  });
}
