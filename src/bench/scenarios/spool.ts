/**
 * The spool by itself: how fast rows are accepted durably, encoding included, and how fast a full spool is written to the
 * database after a restart, beside the upsert of the same rows from memory.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { openSpool } from "../../coordinator/spool/open-spool.ts";
import { decodeSpooledRow, encodeSpooledRow } from "../../coordinator/spool/row-codec.ts";
import type { SpoolLog } from "../../coordinator/spool/spool-log-port.ts";
import type { BarInput } from "../../datasets/bars.ts";
import { makeTemporaryFolder } from "../bench-database.ts";
import { generateMarket } from "../generate-market.ts";
import { goOn, median, repeat, spread } from "../measure.ts";
import {
  type BenchContext,
  dropBars,
  type Figure,
  REPETITIONS,
  type Scenario,
  SEED,
  SYMBOLS,
  settle,
  withBenchStore,
} from "../scenario.ts";

const TENANT = "00000000-0000-4000-8000-000000000001";
const MAX_SPOOL_BYTES = 4_294_967_296;
/** Calls that a producer has under way. */
const CALLS_UNDER_WAY = 8;
/** Producers that bring one row a call and wait for it. */
const SINGLE_PRODUCERS = 256;
/** They are slower, so they bring fewer. */
const SINGLE_PART = 10;
const ACCEPTED_PER_SECOND = 300_000;
const RECOVERY_RATIO = 0.6;
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

export const spool: Scenario = {
  name: "spool",
  title: "rows accepted on disk, and recovered from there",
  async run(context) {
    const folder = await makeTemporaryFolder();
    const minutes = Math.ceil(context.rows / SYMBOLS);
    const rows = [...generateMarket({ symbols: SYMBOLS, minutes, seed: SEED, order: "time" })].slice(0, context.rows);
    try {
      const accepted: Figure[] = [];
      let best = 0;
      for (const rowsPerCall of [5_000, 500, 1]) {
        const figure = await accept(context, folder, rows, rowsPerCall);
        accepted.push(figure);
        best = Math.max(best, Number(figure["rows_per_s"]));
      }
      const { figures, ratio } = await recover(context, folder, rows);
      return {
        figures: [...accepted, ...figures],
        targets: [
          {
            text: `${ACCEPTED_PER_SECOND} rows/s accepted on disk: ${best}`,
            met: best >= ACCEPTED_PER_SECOND,
          },
          {
            text: `recovery at ${RECOVERY_RATIO * 100} % of the direct upsert's speed: ${Math.round(ratio * 100)} %`,
            met: ratio >= RECOVERY_RATIO,
          },
        ],
        notes: ["Accepted rows are encoded, checksummed and fsynced; a sync is what a group of calls shares."],
      };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

const open = (folder: string) => openSpool({ folder: join(folder, "spool"), maxBytes: MAX_SPOOL_BYTES, log: silent });
const empty = (folder: string) => rm(join(folder, "spool"), { recursive: true, force: true });

async function accept(
  { signal }: BenchContext,
  folder: string,
  rows: readonly BarInput[],
  rowsPerCall: number,
): Promise<Figure> {
  const some = rowsPerCall === 1 ? rows.slice(0, Math.ceil(rows.length / SINGLE_PART)) : rows;
  let [syncs, bytes] = [0, 0];
  const taken = await repeat(REPETITIONS, signal, async () => {
    await empty(folder);
    const log = await open(folder);
    await produce(log, some, rowsPerCall, rowsPerCall === 1 ? SINGLE_PRODUCERS : CALLS_UNDER_WAY);
    [syncs, bytes] = [log.groups, log.bytes];
    await log.close();
  });
  const ms = median(taken);
  return {
    what: `accepted, ${rowsPerCall} rows a call`,
    rows_per_s: Math.round(some.length / (ms / 1_000)),
    spread_percent: Math.round(spread(taken) * 100),
    syncs,
    rows_per_sync: Math.round(some.length / syncs),
    bytes_per_row: Math.round(bytes / some.length),
  };
}

/** Some callers share the rows; each waits for its call before the next. */
async function produce(log: SpoolLog, rows: readonly BarInput[], rowsPerCall: number, callers: number): Promise<void> {
  let at = 0;
  const caller = async (): Promise<void> => {
    while (at < rows.length) {
      const those = rows.slice(at, at + rowsPerCall);
      at += rowsPerCall;
      await log.append(those.map((row) => encodeSpooledRow({ tenantId: TENANT, dataset: "bars", row })));
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
}

async function recover(
  context: BenchContext,
  folder: string,
  rows: readonly BarInput[],
): Promise<{ readonly figures: readonly Figure[]; readonly ratio: number }> {
  const [direct, recovered]: [number[], number[]] = [[], []];
  for (let round = 0; round < REPETITIONS; round++) {
    goOn(context.signal);
    direct.push(await timed(context, () => withBenchStore(context, (store) => store.bars.upsert(rows))));
    await empty(folder);
    const log = await open(folder);
    await produce(log, rows, 5_000, CALLS_UNDER_WAY);
    await log.close();
    recovered.push(await timed(context, () => replaySpool(context, folder)));
  }
  const figure = (what: string, taken: readonly number[]): Figure => ({
    what,
    rows_per_s: Math.round(rows.length / (median(taken) / 1_000)),
    spread_percent: Math.round(spread(taken) * 100),
  });
  return {
    figures: [figure("upserted from memory", direct), figure("recovered from the spool", recovered)],
    ratio: median(direct) / median(recovered),
  };
}

async function timed(context: BenchContext, work: () => Promise<unknown>): Promise<number> {
  await dropBars(context.database.owner);
  await settle(context.database.owner);
  const [ms] = await repeat(1, context.signal, work);
  return ms!;
}

/** From opening the spool to the last acknowledgement; a batch is acknowledged when it is committed. */
async function replaySpool(context: BenchContext, folder: string): Promise<void> {
  const log = await open(folder);
  const batches: { readonly rows: number; readonly sequences: readonly number[] }[] = [];
  let [sent, committed] = [0, 0];
  async function* source(): AsyncGenerator<BarInput[]> {
    for await (const batch of log.read()) {
      sent += batch.length;
      batches.push({ rows: sent, sequences: batch.map(({ sequence }) => sequence) });
      yield batch.map(({ record }) => decodeSpooledRow(record).row as BarInput);
    }
  }
  const acknowledge = (): void => {
    while (batches[0] !== undefined && batches[0].rows <= committed) log.acknowledge(batches.shift()!.sequences);
  };
  await withBenchStore(context, (store) =>
    store.bars.upsert(source(), {
      onBatch: ({ inserted, updated, unchanged, superseded, rejected }) => {
        committed = inserted + updated + unchanged + superseded + rejected;
        acknowledge();
      },
    }),
  );
  await log.close();
}
