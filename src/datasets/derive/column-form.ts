/**
 * Pages whose rows come as columns, one row of them for each series: the binary forms of a column's values strung
 * together, which is a typed array but for the order of the bytes: a fraction of the work of taking rows apart. For
 * datasets of numbers alone: texts may be so long that those of a page do not fit one field.
 */
import { StoreError } from "../../errors/store-error.ts";
import type { DatasetShape } from "../dataset.ts";
import { COPY_HEADER_BYTES, type ColumnPage, HIGH, halvesOf, type LastRow, LOW, POSTGRES_EPOCH_US } from "./codec.ts";
import type { ValueBuffer } from "./row-batch.ts";

export type NumberType = "float8" | "int8";
type NumberArray = Float64Array | BigInt64Array;

/** What stands for null, in hex: a NaN and the least int8. The tables refuse NaN, and every whole number has a bound. */
export const NULL_BITS: Readonly<Record<NumberType, string>> = { float8: "7ff8000000000000", int8: "8000000000000000" };
/** The upper halves; the lower ones are 0. */
const NULL_HIGH: Readonly<Record<NumberType, number>> = { float8: 0x7ff80000, int8: -0x80000000 };
const TWO_TO_32 = 2 ** 32;
const IS_LITTLE_ENDIAN = LOW === 0;
/** The number of fields, and the series with its length, before a row's first column. */
const ROW_HEAD_BYTES = 10;

/** Whether the dataset's rows can come in this form. */
export function hasColumnForm({ values, contentKey }: DatasetShape): boolean {
  const isNumber = ({ type, min }: DatasetShape["values"][number]): boolean =>
    type === "float8" || (type === "int8" && min !== undefined);
  return contentKey === undefined && values.every(isNumber);
}

/**
 * Appends to `page` the rows of one binary COPY of (series_id, time, values…) in this form.
 *
 * @throws StoreError `internal` when they are not of that form or do not fit.
 */
export function decodeColumns(bytes: Buffer, page: ColumnPage): void {
  const times = halvesOf(page.times);
  let at = COPY_HEADER_BYTES;
  while (bytes.readInt16BE(at) !== -1) {
    const first = page.length;
    const end = first + rowsAt(bytes, at);
    if (end > page.times.length)
      throw new StoreError("internal", `${end} rows came for a page of ${page.times.length}.`);
    page.seriesIds.fill(bytes.readInt32BE(at + ROW_HEAD_BYTES - 4), first, end);
    at = copyField(bytes, at + ROW_HEAD_BYTES, page.times, first, end);
    toUnixEpoch(times, first, end);
    for (const column of page.columns) {
      at = copyField(bytes, at, column.values as NumberArray, first, end);
      if (!column.column.required) findNulls(column, first, end);
    }
    page.length = end;
  }
}

/** The last row of such a COPY; undefined where there is none. */
export function lastOfColumns(bytes: Buffer): LastRow | undefined {
  let rows = 0;
  let last = -1;
  for (let at = COPY_HEADER_BYTES, fields = bytes.readInt16BE(at); fields !== -1; fields = bytes.readInt16BE(at)) {
    last = at;
    rows += rowsAt(bytes, at);
    at += 2;
    for (let field = 0; field < fields; field++) at += 4 + bytes.readInt32BE(at);
  }
  if (last === -1) return undefined;
  const timesEnd = last + ROW_HEAD_BYTES + 4 + 8 * rowsAt(bytes, last);
  return {
    rows,
    seriesId: bytes.readInt32BE(last + ROW_HEAD_BYTES - 4),
    timeUs: bytes.readInt32BE(timesEnd - 8) * TWO_TO_32 + bytes.readUInt32BE(timesEnd - 4) + POSTGRES_EPOCH_US,
    contentKey: undefined,
  };
}

/** How many rows the columns at a place hold: as many as there are times. */
function rowsAt(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at + ROW_HEAD_BYTES) / 8;
}

/** Copies a field into the rows `first` to `end` of a column; where the next field begins. */
function copyField(bytes: Buffer, at: number, target: NumberArray, first: number, end: number): number {
  const length = bytes.readInt32BE(at);
  if (length !== 8 * (end - first)) {
    throw new StoreError("internal", `A column of ${length} bytes came where ${end - first} values were expected.`);
  }
  const room = Buffer.from(target.buffer, target.byteOffset + 8 * first, length);
  bytes.copy(room, 0, at + 4, at + 4 + length);
  if (IS_LITTLE_ENDIAN) room.swap64();
  return at + 4 + length;
}

/** By halves, since a bigint for each would cost more than all else. */
function toUnixEpoch(halves: Int32Array, first: number, end: number): void {
  for (let at = 2 * first; at < 2 * end; at += 2) {
    const time = halves[at + HIGH]! * TWO_TO_32 + (halves[at + LOW]! >>> 0) + POSTGRES_EPOCH_US;
    const high = Math.floor(time / TWO_TO_32);
    halves[at + HIGH] = high;
    halves[at + LOW] = time - high * TWO_TO_32;
  }
}

function findNulls({ column, values, nulls }: ValueBuffer, first: number, end: number): void {
  const nullHigh = NULL_HIGH[column.type as NumberType];
  const halves = halvesOf(values as Float64Array | BigInt64Array);
  for (let row = first; row < end; row++) {
    const isNull = halves[2 * row + HIGH] === nullHigh && halves[2 * row + LOW] === 0;
    nulls[row] = isNull ? 1 : 0;
    if (isNull && column.type === "int8") halves[2 * row + HIGH] = 0;
  }
}
