/** Bars as PostgreSQL's binary COPY, encoded ahead of time: what the server alone needs, without a client's work. */
import type { BarInput } from "../datasets/bars.ts";
import { COPY_HEADER, COPY_TRAILER } from "../datasets/derive/encode-rows.ts";

const ROW_BYTES = 2 + 8 + 8 * 12;
/** As much as one write to a socket takes well. */
const CHUNK_BYTES = 131_072;
const POSTGRES_EPOCH_MS = Date.UTC(2000, 0, 1);

/** Columns in the order of `encodeCopy`. */
export const COPY_COLUMNS =
  "series_id, ts, open_price, high_price, low_price, close_price, volume, trade_count, vwap" as const;

/**
 * @param bars - With Dates as times and numbers as values, as the generator makes them.
 * @param idOf - The series id of a symbol.
 */
export function encodeCopy(bars: Iterable<BarInput>, idOf: (symbol: string) => number): Buffer[] {
  const chunks: Buffer[] = [COPY_HEADER];
  let buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let at = 0;
  for (const bar of bars) {
    if (at + ROW_BYTES > CHUNK_BYTES) {
      chunks.push(buffer.subarray(0, at));
      buffer = Buffer.allocUnsafe(CHUNK_BYTES);
      at = 0;
    }
    at = writeBar(buffer, at, bar, idOf(bar.symbol));
  }
  chunks.push(buffer.subarray(0, at), COPY_TRAILER);
  return chunks;
}

function writeBar(buffer: Buffer, start: number, bar: BarInput, seriesId: number): number {
  buffer.writeInt16BE(9, start);
  buffer.writeInt32BE(4, start + 2);
  buffer.writeInt32BE(seriesId, start + 6);
  let at = writeInt8(buffer, start + 10, BigInt((bar.ts as Date).getTime() - POSTGRES_EPOCH_MS) * 1_000n);
  for (const price of [bar.open_price, bar.high_price, bar.low_price, bar.close_price, bar.volume]) {
    at = writeFloat8(buffer, at, price as number);
  }
  at = writeInt8(buffer, at, BigInt(bar.trade_count as number));
  return bar.vwap === null ? buffer.writeInt32BE(-1, at) : writeFloat8(buffer, at, bar.vwap as number);
}

function writeInt8(buffer: Buffer, at: number, value: bigint): number {
  return buffer.writeBigInt64BE(value, buffer.writeInt32BE(8, at));
}

function writeFloat8(buffer: Buffer, at: number, value: number): number {
  return buffer.writeDoubleBE(value, buffer.writeInt32BE(8, at));
}
