/**
 * A start with a full spool: how fast the coordinator brings what an outage left on disk into the database, beside the
 * direct upsert of the same rows from memory. Repetitions of both are interleaved.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Store } from "../../client/open-store.ts";
import { createCoordinator } from "../../coordinator/create-coordinator.ts";
import { openSpool } from "../../coordinator/spool/open-spool.ts";
import { encodeSpooledRow } from "../../coordinator/spool/row-codec.ts";
import type { BarInput } from "../../datasets/bars.ts";
import { StoreError } from "../../errors/store-error.ts";
import { BarColumns } from "../bar-columns.ts";
import { makeTemporaryFolder } from "../bench-database.ts";
import { generateMarket } from "../generate-market.ts";
import { median, repeat, spread } from "../measure.ts";
import { type BenchContext, REPETITIONS, type Scenario, SEED, SYMBOLS, settle, withBenchStore } from "../scenario.ts";

const MAX_SPOOL_BYTES = 8_589_934_592;
const ROWS_PER_APPEND = 5_000;
const LEAST_SHARE = 0.6;
const ignore = (): void => undefined;
const silent = { info: ignore, warn: ignore, error: ignore };

export const recovery: Scenario = {
  name: "recovery",
  title: "rows that an outage left in the spool, through the coordinator into the database",
  async run(context) {
    const folder = await makeTemporaryFolder();
    try {
      const taken = await withBenchStore(context, (store) => runRounds(context, store, folder));
      const share = median(taken.direct.map((ms, round) => ms / taken.recovered[round]!));
      const figure = (what: string, times: readonly number[]) => ({
        what,
        rows_per_s: Math.round(taken.rows / (median(times) / 1_000)),
        spread: spread(times),
      });
      return {
        figures: [figure("direct upsert", taken.direct), figure("recovered from the spool", taken.recovered)],
        targets: [
          {
            text: `recovery at ${LEAST_SHARE * 100} % of the direct upsert's speed: ${Math.round(share * 100)} %`,
            met: share >= LEAST_SHARE,
          },
        ],
        notes: ["Recovery begins with opening the spool and ends when every row is in the database and acknowledged."],
      };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function runRounds(context: BenchContext, store: Store, folder: string) {
  const { signal, database, rows } = context;
  const minutes = Math.ceil(rows / SYMBOLS);
  const market = generateMarket({ symbols: SYMBOLS, minutes, seed: SEED, order: "time" });
  const bars = new BarColumns(market, minutes * SYMBOLS);
  const direct: number[] = [];
  const recovered: number[] = [];
  await store.bars.upsert(bars, { signal }); // Makes series and partitions.
  const emptyTable = async (): Promise<void> => {
    await database.owner.query("truncate store.bars_data");
    await settle(database.owner);
  };
  for (let round = 0; round < REPETITIONS; round++) {
    await emptyTable();
    direct.push(...(await repeat(1, signal, () => store.bars.upsert(bars, { signal }))));
    await fillSpool(store, bars, folder);
    await emptyTable();
    recovered.push(...(await repeat(1, signal, () => recover(store, bars.length, folder))));
  }
  return { rows: bars.length, direct, recovered };
}

/** Leaves the rows as a process does that took them while the database was away. */
async function fillSpool(store: Store, bars: BarColumns, folder: string): Promise<void> {
  const { tenantId } = store;
  const log = await openSpool({ folder: join(folder, "spool"), maxBytes: MAX_SPOOL_BYTES, log: silent });
  let records: Uint8Array[] = [];
  const append = async (): Promise<void> => {
    if (records.length > 0) await log.append(records);
    records = [];
  };
  for (const row of bars as Iterable<BarInput>) {
    records.push(encodeSpooledRow({ tenantId, dataset: "bars", row }));
    if (records.length === ROWS_PER_APPEND) await append();
  }
  await append();
  await log.close();
}

async function recover(store: Store, rows: number, folder: string): Promise<void> {
  const spool = { dir: join(folder, "spool"), maxBytes: MAX_SPOOL_BYTES };
  const coordinator = await createCoordinator({ store, spool, deadLetterDir: join(folder, "dead-letters") });
  try {
    const { inserted } = await coordinator.flush();
    if (inserted !== rows) {
      throw new StoreError("internal", `Of ${rows} rows of the benchmark ${inserted} were recovered.`);
    }
  } finally {
    await coordinator.stop();
  }
}
