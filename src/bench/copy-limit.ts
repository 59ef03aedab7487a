/**
 * The limit of writing bars: a binary COPY of rows that were encoded before, by the owner over one connection, into the
 * store's own partitioned table under the same settings.
 */
import { copyIn } from "../database/copy-stream.ts";
import type { Connection } from "../database/pool.ts";
import type { BarInput } from "../datasets/bars.ts";
import { COPY_COLUMNS, encodeCopy } from "./encode-copy.ts";
import { settle } from "./scenario.ts";

/** Encodes one-minute bars, whose series and partitions have to be there. */
export async function encodeBars(owner: Connection, bars: Iterable<BarInput>): Promise<Buffer[]> {
  const { rows } = await owner.query<{ symbol: string; series_id: number }>(
    "select symbol, series_id from store.bars_series where vendor = 'generated' and timeframe = '1m'",
  );
  const ids = new Map(rows.map((row) => [row.symbol, row.series_id]));
  return encodeCopy(bars, (symbol) => ids.get(symbol)!);
}

/** Copies what was encoded. */
export function copyBars(owner: Connection, encoded: readonly Buffer[], signal: AbortSignal): Promise<void> {
  return copyIn(owner, `copy store.bars_data (${COPY_COLUMNS}) from stdin (format binary)`, encoded, signal);
}

/** Takes all bars away and leaves series and partitions. */
export async function emptyBars(owner: Connection): Promise<void> {
  await owner.query("truncate store.bars_data");
  await settle(owner);
}
