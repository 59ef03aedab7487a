/** Bytes that a bar takes, table and index, as loaded and after all of it was corrected; beside the table made by hand. */
import type { Connection } from "../../database/pool.ts";
import type { BarInput } from "../../datasets/bars.ts";
import { makeBars, pricesOf } from "../bar-load.ts";
import { HAND_BARS, withHandWritten } from "../hand-written.ts";
import { type BenchContext, dropBars, type Figure, type Scenario, settle, withBenchStore } from "../scenario.ts";

const STORE_BARS = "store.bars_data";
const TARGET_BYTES = 130;

export const storage: Scenario = {
  name: "storage",
  title: "bytes a bar takes with its index, in the store and in the table made by hand",
  run: (context) =>
    withHandWritten(context, async ({ ways: [byHand] }) => {
      const { owner } = context.database;
      const bars = makeBars(context.rows);
      const figures: Figure[] = [];
      const loaded = await sizeWith(context, bars);
      figures.push({ table: "store", filled: "by time", ...loaded });
      figures.push({
        table: "store",
        filled: "by series",
        ...(await sizeWith(context, makeBars(context.rows, "by series"))),
      });
      figures.push({
        table: "store",
        filled: "by time, prices and volume only",
        ...(await sizeWith(context, pricesOf(bars))),
      });
      await byHand!.upsert(bars);
      figures.push({ table: "by hand", filled: "by time", ...(await sizeOf(owner, HAND_BARS)) });
      const bytes = loaded.bytes_per_row;
      return {
        figures,
        targets: [
          { text: `at most ${TARGET_BYTES} bytes a bar with index: ${bytes.toFixed(0)}`, met: bytes <= TARGET_BYTES },
        ],
        notes: [
          `${bars.length} bars with trade count and vwap, by upserts; by time all series of a minute come after each other.`,
        ],
      };
    }),
};

async function sizeWith(context: BenchContext, bars: Iterable<BarInput>): Promise<Size> {
  const { owner } = context.database;
  await dropBars(owner);
  await withBenchStore(context, (store) => store.bars.upsert(bars, { signal: context.signal }));
  await settle(owner);
  return sizeOf(owner, STORE_BARS);
}

interface Size extends Figure {
  readonly table_bytes_per_row: number;
  readonly index_bytes_per_row: number;
  readonly bytes_per_row: number;
}

async function sizeOf(owner: Connection, table: string): Promise<Size> {
  const { rows } = await owner.query<{ count: number; heap: number; index: number }>(
    `select (select count(*)::float8 from ${table}) as count, sum(pg_table_size(t.relid))::float8 as heap,
       sum(pg_indexes_size(t.relid))::float8 as index
     from (select inhrelid as relid from pg_inherits where inhparent = $1::regclass union all select $1::regclass) t`,
    [table],
  );
  const { count, heap, index } = rows[0]!;
  return {
    table_bytes_per_row: heap / count,
    index_bytes_per_row: index / count,
    bytes_per_row: (heap + index) / count,
  };
}
