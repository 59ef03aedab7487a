/**
 * A short run of what matters most, as ratios to a limit that is measured in turns with it: upserts, replays, trusted loads and the
 * coordinator beside COPY in, a window beside COPY out. Each as time, and as processor time of client and server, which hardly depends
 * on what else the machine does. Takes half a minute at most, with fewer rounds on a machine that is busy.
 */
import { rm } from "node:fs/promises";
import { makeBars } from "../../src/bench/bar-load.ts";
import {
  CLIENT_APPLICATION,
  makeTemporaryFolder,
  OWNER_APPLICATION,
  openBenchDatabase,
} from "../../src/bench/bench-database.ts";
import { copyBars, emptyBars, encodeBars } from "../../src/bench/copy-limit.ts";
import { COPY_COLUMNS } from "../../src/bench/encode-copy.ts";
import { symbolName } from "../../src/bench/generate-market.ts";
import { type BenchContext, settle, withBenchStore, withTrustedBars } from "../../src/bench/scenario.ts";
import { coordinated } from "../../src/bench/scenarios/coordinator.ts";
import { ratios, type Taken, type Turn, takeTurns } from "../../src/bench/turns.ts";
import type { Store } from "../../src/client/open-store.ts";
import { drainCopy } from "../../src/database/copy-stream.ts";
import type { MeasuredRatios } from "./compare-ratios.ts";

const ROWS = 30_000;
/** One series as long as the window. */
const WINDOW_BARS = 10_000;
const MAX_ROUNDS = 11;
const READS = 31;
const WRITING_MS = 20_000;
const READING_MS = 5_000;

/** Measures on an embedded database of its own. */
export async function measureRatios(signal: AbortSignal): Promise<MeasuredRatios> {
  const database = await openBenchDatabase({ signal });
  const folder = await makeTemporaryFolder();
  const context: BenchContext = { database, rows: ROWS, csvRows: 0, retentionRows: 0, growthRows: [], signal };
  try {
    return await withBenchStore(context, async (store) => ({
      ...(await writing(context, store, folder)),
      ...(await reading(context, store)),
    }));
  } finally {
    await rm(folder, { recursive: true, force: true });
    await database.close();
  }
}

async function writing(context: BenchContext, store: Store, folder: string): Promise<MeasuredRatios> {
  const { database, signal } = context;
  const { owner } = database;
  const bars = makeBars(ROWS);
  await store.bars.upsert(bars, { signal }); // Makes series and partitions.
  const encoded = await encodeBars(owner, bars);
  const empty = { rows: bars.length, application: CLIENT_APPLICATION, prepare: () => emptyBars(owner) };
  const upsert = (): Promise<unknown> => store.bars.upsert(bars, { signal });
  return withTrustedBars(context, async (load) => {
    const { copy, fresh, replay, trusted, coordinator } = await takeForSoLong(context, MAX_ROUNDS, WRITING_MS, {
      copy: { ...empty, application: OWNER_APPLICATION, run: () => copyBars(owner, encoded, signal) },
      fresh: { ...empty, run: upsert },
      replay: { ...empty, prepare: () => settle(owner), run: upsert },
      trusted: { ...empty, run: () => load.upsert(bars, { signal }) },
      coordinator: { ...empty, run: () => coordinated(store, bars, folder) },
    });
    return {
      ...both("fresh rows, of COPY in", fresh, copy),
      ...both("replayed rows, of COPY in", replay, copy),
      ...both("trusted load, of COPY in", trusted, copy),
      ...both("coordinator, of the direct upsert", coordinator, fresh),
    };
  });
}

async function reading(context: BenchContext, store: Store): Promise<MeasuredRatios> {
  const { owner } = context.database;
  const bars = makeBars(WINDOW_BARS, "one series");
  await store.bars.upsert(bars, { signal: context.signal });
  await settle(owner);
  const { rows } = await owner.query<{ id: number }>(
    "select series_id as id from store.bars_series where symbol = $1 and timeframe = '1m'",
    [symbolName(0)],
  );
  const copy = `copy (select ${COPY_COLUMNS} from store.bars_data where series_id = ${rows[0]!.id} order by ts)
    to stdout (format binary)`;
  const series = { vendor: "generated", symbol: symbolName(0), timeframe: "1m" };
  const [start, end] = [new Date("2025-01-01"), new Date("2027-01-01")];
  const taken = await takeForSoLong(context, READS, READING_MS, {
    copy: { rows: bars.length, application: OWNER_APPLICATION, run: () => drainCopy(owner, copy) },
    window: {
      rows: bars.length,
      application: CLIENT_APPLICATION,
      run: () => store.bars.readColumns({ ...series, start, end }),
    },
  });
  return both(`window of ${WINDOW_BARS} bars, of COPY out`, taken.window, taken.copy);
}

/** As many rounds as there is time for; the first one, which warms up, does not count. */
async function takeForSoLong<Name extends string>(
  { database: { owner }, signal }: BenchContext,
  maxRounds: number,
  ms: number,
  turns: Readonly<Record<Name, Turn>>,
): Promise<Record<Name, Taken>> {
  const endsAt = performance.now() + ms;
  await takeTurns(owner, signal, 1, turns);
  const taken: Record<Name, Taken>[] = [];
  while (taken.length < maxRounds && performance.now() < endsAt) taken.push(await takeTurns(owner, signal, 1, turns));
  const all = (name: Name): Taken => ({
    rows: turns[name].rows,
    timings: taken.flatMap((round) => round[name].timings),
  });
  return Object.fromEntries((Object.keys(turns) as Name[]).map((name) => [name, all(name)])) as Record<Name, Taken>;
}

function both(name: string, taken: Taken, limit: Taken): MeasuredRatios {
  const isSeen = [taken, limit].every(({ timings }) => timings.every(({ serverMs }) => serverMs !== null));
  const processor = ({ rows, timings }: Taken): Taken => ({
    rows,
    timings: timings.map((one) => ({ ...one, ms: one.clientMs + (one.serverMs ?? 0) })),
  });
  return {
    [`${name}: time`]: ratios(taken, limit),
    [`${name}: processor time`]: isSeen ? ratios(processor(taken), processor(limit)) : null,
  };
}
