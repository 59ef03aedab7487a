/** Decades of daily bars for a few instruments: what makes a table of hundreds of monthly partitions. */
import type { Store } from "../client/open-store.ts";
import type { Connection } from "../database/pool.ts";
import type { BarInput } from "../datasets/bars.ts";

const DAY_MS = 86_400_000;
/** A few days of each month, so that no partition is empty. */
const DAYS_APART = 10;
/** As many as daily bars since 1998 take. */
const MONTHS = 334;
const SYMBOLS = ["OLD1", "OLD2", "OLD3"] as const;

/** Writes daily bars into each of the 334 months before `end`; the client makes the partitions. */
export async function writeHistory(store: Store, end: Date, signal: AbortSignal): Promise<void> {
  await store.bars.upsert(dailyBars(end), { signal });
}

/** How many partitions bars have. */
export async function countPartitions(owner: Connection): Promise<number> {
  const { rows } = await owner.query<{ n: number }>("select count(*)::int4 as n from store.partitions('bars')");
  return rows[0]!.n;
}

function* dailyBars(end: Date): Generator<BarInput> {
  const firstDay = Date.UTC(end.getUTCFullYear(), end.getUTCMonth() - MONTHS);
  const endDay = Date.UTC(end.getUTCFullYear(), end.getUTCMonth());
  const prices = { open_price: 100, high_price: 102.5, low_price: 99.25, close_price: 101, volume: 1_000_000 };
  for (const symbol of SYMBOLS) {
    for (let day = firstDay; day < endDay; day += DAYS_APART * DAY_MS) {
      yield { vendor: "generated", symbol, timeframe: "1d", ts: new Date(day), ...prices };
    }
  }
}
