/** All bars as an Arrow IPC stream and as typed arrays, beside a COPY of the same rows that nobody decodes. */
import type { Store } from "../../client/open-store.ts";
import { drainCopy } from "../../database/copy-stream.ts";
import { CLIENT_APPLICATION, OWNER_APPLICATION } from "../bench-database.ts";
import { COPY_COLUMNS } from "../encode-copy.ts";
import { generateMarket } from "../generate-market.ts";
import { goOn, measure, median, spread, type Timing } from "../measure.ts";
import { type BenchContext, dropBars, REPETITIONS, type Scenario, SEED, settle, withBenchStore } from "../scenario.ts";

const MINUTES = 10_000;
const FIRST_DAY = new Date("2026-01-05");
const TARGET_ROWS_PER_S = 1_500_000;

export const arrow: Scenario = {
  name: "arrow",
  title: "all bars as an Arrow IPC stream, and COPY of the same rows, not decoded",
  run: (context) => withBenchStore(context, (store) => measureAll(context, store)),
};

async function measureAll({ database, rows, signal }: BenchContext, store: Store) {
  const { owner } = database;
  const symbols = Math.max(1, Math.round(rows / MINUTES));
  await dropBars(owner);
  const market = { symbols, minutes: MINUTES, seed: SEED, firstDay: FIRST_DAY, order: "series" } as const;
  await store.bars.upsert(generateMarket(market), { signal });
  await settle(owner);
  const copy = `copy (select ${COPY_COLUMNS} from store.bars_data order by series_id, ts) to stdout (format binary)`;
  const reads: Readonly<Record<string, readonly [application: string, work: () => Promise<unknown>]>> = {
    "the owner's COPY, not decoded": [OWNER_APPLICATION, () => drainCopy(owner, copy)],
    readColumns: [CLIENT_APPLICATION, () => store.bars.readColumns({ vendor: "generated" }, { signal })],
    readArrow: [CLIENT_APPLICATION, () => drain(store.bars.readArrow({ vendor: "generated" }, { signal }))],
  };
  const timings = new Map<string, Timing<unknown>[]>(Object.keys(reads).map((name) => [name, []]));
  for (let round = 0; round < REPETITIONS; round++) {
    for (const [name, [application, work]] of Object.entries(reads)) {
      goOn(signal);
      timings.get(name)!.push(await measure(owner, application, work));
    }
  }
  const count = symbols * MINUTES;
  const rate = (name: string): number => count / (median(timings.get(name)!.map(({ ms }) => ms)) / 1_000);
  const reached = rate("readArrow");
  return {
    figures: [...timings].map(([read, list]) => ({
      read,
      rows: count,
      rows_per_s: Math.round(rate(read)),
      spread: spread(list.map(({ ms }) => ms)),
      client_cpu_us_per_row: (median(list.map(({ clientMs }) => clientMs)) * 1_000) / count,
      server_cpu_us_per_row: serverUs(list, count),
    })),
    targets: [
      {
        text: `an Arrow stream of ${TARGET_ROWS_PER_S / 1e6} M rows/s or more: ${(reached / 1e6).toFixed(2)} M rows/s`,
        met: reached >= TARGET_ROWS_PER_S,
      },
    ],
    notes: [],
  };
}

/** Null where the server's processes cannot be seen. */
function serverUs(list: readonly Timing<unknown>[], rows: number): number | null {
  const times = list.flatMap(({ serverMs }) => serverMs ?? []);
  return times.length < list.length ? null : (median(times) * 1_000) / rows;
}

async function drain(pieces: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const piece of pieces) bytes += piece.length;
  return bytes;
}
