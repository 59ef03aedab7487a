/**
 * A month of bars of long ago (with TimescaleDB the chunk of its first day): filled on the server, in the order of the key, and
 * dropped by retention.
 */
import type { Store } from "../client/open-store.ts";
import type { DroppedPartition } from "../database/engine/engine.ts";
import { openEngine } from "../database/engine/open-engine.ts";
import type { BarInput } from "../datasets/bars.ts";
import { StoreError } from "../errors/store-error.ts";
import { goOn } from "./measure.ts";
import { type BenchContext, SYMBOLS } from "./scenario.ts";

/** Series that one statement of the filling brings. */
const SERIES_PER_INSERT = 50;

/** A bar of one second. */
export function secondBar(symbol: string, ts: number): BarInput {
  const prices = { open_price: 100, high_price: 101, low_price: 99, close_price: 100.5, volume: 1_000 };
  return { vendor: "generated", symbol, timeframe: "1s", ts: new Date(ts), ...prices };
}

/** Makes the month, or chunk, and fills it with so many rows, of series that nobody can ask for. */
export async function fillMonth(
  { database: { owner }, signal }: BenchContext,
  store: Store,
  month: number,
  count: number,
): Promise<void> {
  await store.bars.upsert([secondBar("FIRST", month)]);
  const { rows } = await owner.query<{ start: number; end: number }>(
    `select extract(epoch from range_start)::float8 as start, extract(epoch from range_end)::float8 as end
     from store.partitions('bars') where range_start <= to_timestamp($1) and range_end > to_timestamp($1)`,
    [month / 1_000],
  );
  const { start, end } = rows[0]!;
  const perSeries = Math.ceil(count / SYMBOLS);
  const stepSeconds = (end - start) / (perSeries + 1);
  for (let first = 0; first < SYMBOLS; first += SERIES_PER_INSERT) {
    goOn(signal);
    await owner.query(
      `insert into store.bars_data
         (series_id, ts, open_price, high_price, low_price, close_price, volume)
       select series, to_timestamp($1 + at * $2::float8), 100, 101, 99, 100.5, 1000
       from generate_series($3::int4, $4::int4) series, generate_series(1, $5::int4) at`,
      [start, stepSeconds, 1_000_000 + first, 1_000_000 + first + SERIES_PER_INSERT - 1, perSeries],
    );
  }
}

/**
 * Lets retention drop the month, before which nothing may be kept, and nothing else.
 *
 * @throws StoreError `internal` when another number of partitions was dropped.
 */
export async function dropMonth(
  { database: { adminUrl, owner }, signal }: BenchContext,
  month: number,
): Promise<DroppedPartition> {
  await owner.query("update store.policies set keep_for = '1 month' where dataset = 'bars'");
  const engine = await openEngine(adminUrl, signal);
  const start = new Date(month);
  // From here, one month before is in the partition that holds the next month's first day, on either engine: only what
  // is before that is due.
  const now = new Date(Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 2, 3));
  const plan = await engine.planRetention({ now: now.toISOString(), countRows: false, signal });
  const [dropped, ...others] = await engine.applyRetention(plan, { signal });
  await owner.query("update store.policies set keep_for = null where dataset = 'bars'");
  if (dropped === undefined || others.length > 0) {
    throw new StoreError("internal", `Retention dropped ${plan.partitions.length} partitions in place of one.`);
  }
  return dropped;
}
