/** All bars as an Arrow IPC stream and as typed arrays, beside a COPY of the same rows that nobody decodes. */
import type { Store } from "../../client/open-store.ts";
import { drainCopy } from "../../database/copy-stream.ts";
import { CLIENT_APPLICATION, OWNER_APPLICATION } from "../bench-database.ts";
import { COPY_COLUMNS } from "../encode-copy.ts";
import { generateMarket } from "../generate-market.ts";
import { type BenchContext, dropBars, REPETITIONS, type Scenario, SEED, settle, withBenchStore } from "../scenario.ts";
import { rateFigure, rateOf, takeTurns } from "../turns.ts";

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
  const read = { rows: symbols * MINUTES, application: CLIENT_APPLICATION };
  const taken = await takeTurns(owner, signal, REPETITIONS, {
    copy: { ...read, application: OWNER_APPLICATION, run: () => drainCopy(owner, copy) },
    readColumns: { ...read, run: () => store.bars.readColumns({ vendor: "generated" }, { signal }) },
    readArrow: { ...read, run: () => drainPieces(store.bars.readArrow({ vendor: "generated" }, { signal })) },
  });
  const reached = rateOf(taken.readArrow);
  return {
    figures: Object.entries(taken).map(([name, one]) => ({
      read: name,
      rows: read.rows,
      ...rateFigure(one, taken.copy),
    })),
    targets: [
      {
        text: `an Arrow stream of ${TARGET_ROWS_PER_S / 1e6} M rows/s or more: ${(reached / 1e6).toFixed(2)} M rows/s`,
        met: reached >= TARGET_ROWS_PER_S,
      },
    ],
    notes: ["`copy` is the owner's COPY out of the same rows, which nobody decodes."],
  };
}

/** Reads a stream to its end; the number of bytes. */
export async function drainPieces(pieces: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const piece of pieces) bytes += piece.length;
  return bytes;
}
