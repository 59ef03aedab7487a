/**
 * The coordinator: how fast rows move through it alone, what it adds to the direct upsert of the same rows, with and
 * without a spool, and what it costs while nothing happens. What is compared is done in turns.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Store } from "../../client/open-store.ts";
import { createCoordinator } from "../../coordinator/create-coordinator.ts";
import type { DeadLetters } from "../../coordinator/dead-letters/dead-letters-port.ts";
import { openSpool } from "../../coordinator/spool/open-spool.ts";
import type { SpoolLog } from "../../coordinator/spool/spool-log-port.ts";
import { WriteCoordinator } from "../../coordinator/write-coordinator.ts";
import type { BarInput } from "../../datasets/bars.ts";
import { StoreError } from "../../errors/store-error.ts";
import type { Sink } from "../../sinks/sink.ts";
import type { BarColumns } from "../bar-columns.ts";
import { makeBars } from "../bar-load.ts";
import { makeTemporaryFolder } from "../bench-database.ts";
import { emptyBars } from "../copy-limit.ts";
import { generateMarket } from "../generate-market.ts";
import { median, repeat, spread } from "../measure.ts";
import {
  type BenchContext,
  type Figure,
  REPETITIONS,
  type Scenario,
  SEED,
  SYMBOLS,
  withBenchStore,
} from "../scenario.ts";
import { type Taken, takeTurns, timeRatio, timesOf } from "../turns.ts";

const TENANT = "00000000-0000-4000-8000-000000000001";
/** Rows a producer brings in one call. */
const ROWS_PER_CALL = 500;
/** Row objects that the null sink is fed with, over and over: making them is not what is measured. */
const DISTINCT_ROWS = 5_000;
/** Producers that share the spool's syncs. */
const SPOOL_PRODUCERS = 16;
const MAX_SPOOL_BYTES = 8_589_934_592;
const IDLE_MS = 5_000;
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

const nullSink: Sink = {
  name: "bars",
  write: async ({ rows }) => ({ inserted: rows.length, updated: 0, unchanged: 0, superseded: 0, rejections: [] }),
};
/** A benchmark's rows are good; one that is not would spoil the figures. */
const noLetters: DeadLetters = {
  append: () => Promise.reject(new StoreError("internal", "A row of the benchmark was given up.")),
  close: async () => {},
};

type Submits = Pick<WriteCoordinator, "submit" | "submitMany">;

export const coordinator: Scenario = {
  name: "coordinator",
  title: "rows through the coordinator into nothing and into the database, beside the direct upsert",
  async run(context) {
    const folder = await makeTemporaryFolder();
    try {
      const alone = await moveAlone(context, folder);
      const { figures, ratio } = await withBenchStore(context, (store) => beside(context, store, folder));
      const idle = await withBenchStore(context, (store) => idlePercent(store, folder));
      const [fastest] = alone.map((figure) => Number(figure["rows_per_s"]));
      const spooled = Number(alone.at(-1)!["rows_per_s"]);
      return {
        figures: [...alone, ...figures],
        targets: [
          { text: `2000000 rows/s into a sink that does nothing: ${fastest}`, met: fastest! >= 2_000_000 },
          { text: `300000 rows/s accepted on disk and through: ${spooled}`, met: spooled >= 300_000 },
          { text: `at most 5 % on top of the direct upsert's time: ${percent(ratio - 1)}`, met: ratio <= 1.05 },
          { text: `under 0.5 % of a processor while idle: ${idle.toFixed(2)} %`, met: idle < 0.5 },
        ],
        notes: [
          "of_direct is the time beside that of the direct upsert over one connection; the coordinator uses up to four.",
        ],
      };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

const percent = (part: number): string => `${Math.round(part * 100)} %`;

/** Into a sink that does nothing. */
async function moveAlone(context: BenchContext, folder: string): Promise<Figure[]> {
  const minutes = DISTINCT_ROWS / SYMBOLS;
  const rows = [...generateMarket({ symbols: SYMBOLS, minutes, seed: SEED, order: "time" })];
  const calls = Math.ceil(context.rows / DISTINCT_ROWS);
  const parts = Array.from({ length: DISTINCT_ROWS / ROWS_PER_CALL }, (_, at) =>
    rows.slice(at * ROWS_PER_CALL, (at + 1) * ROWS_PER_CALL),
  );
  const many = async (target: Submits): Promise<void> => {
    for (let call = 0; call < calls; call++) for (const part of parts) await target.submitMany("bars", part);
  };
  const single = async (target: Submits): Promise<void> => {
    for (let call = 0; call < calls; call++) for (const row of rows) await target.submit("bars", row);
  };
  const shared = async (target: Submits): Promise<void> => {
    let left = calls;
    const producer = async (): Promise<void> => {
      while (left-- > 0) for (const part of parts) await target.submitMany("bars", part);
    };
    await Promise.all(Array.from({ length: SPOOL_PRODUCERS }, producer));
  };
  return [
    await moveFigure(context, `into nothing, ${ROWS_PER_CALL} rows a call`, calls, many),
    await moveFigure(context, "into nothing, 1 row a call", calls, single),
    await moveFigure(context, `into nothing over a spool, ${ROWS_PER_CALL} rows a call`, calls, shared, folder),
  ];
}

async function moveFigure(
  { signal }: BenchContext,
  what: string,
  calls: number,
  submit: (target: Submits) => Promise<void>,
  folder?: string,
): Promise<Figure> {
  const taken: number[] = [];
  for (let round = 0; round <= REPETITIONS; round++) {
    const spool = folder === undefined ? undefined : await emptySpool(folder);
    const target = new WriteCoordinator({ sinks: { bars: nullSink }, tenantId: TENANT, deadLetters: noLetters, spool });
    const [ms] = await repeat(1, signal, async () => {
      await submit(target);
      await target.flush();
    });
    await target.stop();
    await spool?.close();
    if (round > 0) taken.push(ms!); // The first one warms up.
  }
  return figureOf(what, calls * DISTINCT_ROWS, taken, null);
}

async function emptySpool(folder: string): Promise<SpoolLog> {
  await rm(join(folder, "spool"), { recursive: true, force: true });
  return openSpool({ folder: join(folder, "spool"), maxBytes: MAX_SPOOL_BYTES, log: silent });
}

/** Beside the direct upsert of the same rows. */
async function beside(
  context: BenchContext,
  store: Store,
  folder: string,
): Promise<{ readonly figures: Figure[]; readonly ratio: number }> {
  const { signal, database } = context;
  const { owner } = database;
  const bars = makeBars(context.rows);
  await store.bars.upsert(bars, { signal }); // Makes series and partitions.
  const spool = { dir: join(folder, "spool"), maxBytes: MAX_SPOOL_BYTES };
  const turn = { rows: bars.length, prepare: () => emptyBars(owner) };
  const taken = await takeTurns(owner, signal, REPETITIONS, {
    "direct upsert": { ...turn, run: () => store.bars.upsert(bars, { signal }) },
    "through the coordinator": { ...turn, run: () => coordinated(store, bars, folder) },
    "through the coordinator with a spool": { ...turn, run: () => coordinated(store, bars, folder, spool) },
  });
  const ofDirect = (one: Taken): number => timeRatio(one, taken["direct upsert"]);
  return {
    figures: Object.entries(taken).map(([what, one]) => figureOf(what, one.rows, timesOf(one), ofDirect(one))),
    ratio: ofDirect(taken["through the coordinator"]),
  };
}

/** All bars through a coordinator, until they are stored. */
export async function coordinated(
  store: Store,
  bars: BarColumns,
  folder: string,
  spool?: { readonly dir: string; readonly maxBytes: number },
): Promise<void> {
  const deadLetterDir = join(folder, "dead-letters");
  const target = await createCoordinator({ store, deadLetterDir, ...(spool && { spool }) });
  try {
    for (const part of partsOf(bars, ROWS_PER_CALL)) await target.submitMany("bars", part);
    const { inserted } = await target.flush();
    if (inserted !== bars.length) {
      throw new StoreError("internal", `Of ${bars.length} rows of the benchmark ${inserted} were inserted.`);
    }
  } finally {
    await target.stop();
  }
}

/** Bars in calls of so many. */
export function* partsOf(bars: BarColumns, rowsPerCall: number): Generator<BarInput[]> {
  let part: BarInput[] = [];
  for (const bar of bars) {
    part.push(bar);
    if (part.length < rowsPerCall) continue;
    yield part;
    part = [];
  }
  if (part.length > 0) yield part;
}

/** Processor time of this process while a coordinator that has worked waits for rows. */
async function idlePercent(store: Store, folder: string): Promise<number> {
  const target = await createCoordinator({ store, deadLetterDir: join(folder, "dead-letters") });
  await sleep(1_000); // What came before leaves work to the collector.
  const before = process.cpuUsage();
  await sleep(IDLE_MS);
  const { user, system } = process.cpuUsage(before);
  await target.stop();
  return (user + system) / 1_000 / IDLE_MS / 0.01;
}

function figureOf(what: string, rows: number, taken: readonly number[], ofDirect: number | null): Figure {
  return {
    what,
    rows_per_s: Math.round(rows / (median(taken) / 1_000)),
    spread: spread(taken),
    of_direct: ofDirect,
  };
}
