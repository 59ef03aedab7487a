/**
 * PostgreSQL's binary forms: arrays as statement parameters, and the rows of a binary COPY as columns. Formats as in
 * PostgreSQL's array_recv, and in its documentation of COPY, section "Binary Format".
 */
import { StoreError } from "../../errors/store-error.ts";
import type { DatasetShape } from "../dataset.ts";
import { createValueBuffer, type ValueBuffer } from "./row-batch.ts";

const OID = { bytea: 17, int8: 20, int4: 23, text: 25, float8: 701, timestamptz: 1184 } as const;
/** PostgreSQL counts time from 2000-01-01. */
export const POSTGRES_EPOCH_US = Date.UTC(2000, 0, 1) * 1_000;
const ARRAY_HEADER_BYTES = 20;
export const COPY_HEADER_BYTES = 19;
/** Series id and time with their lengths. */
const KEY_BYTES = 20;
const NULL_LENGTH = -1;
const TWO_TO_32 = 2 ** 32;

function startArray(oid: number, length: number, elementBytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(ARRAY_HEADER_BYTES + length * (4 + elementBytes));
  buffer.writeInt32BE(length === 0 ? 0 : 1, 0); // dimensions
  buffer.writeInt32BE(0, 4); // flags; nulls are told by their length
  buffer.writeInt32BE(oid, 8);
  buffer.writeInt32BE(length, 12);
  buffer.writeInt32BE(1, 16); // lower bound
  return length === 0 ? buffer.subarray(0, 12) : buffer;
}

/** int4[] of `values[index[row]]` for each row. */
export function encodeInt4Array(values: Int32Array, index: Int32Array, rows: Int32Array): Buffer {
  const buffer = startArray(OID.int4, rows.length, 4);
  let at = ARRAY_HEADER_BYTES;
  for (const row of rows) {
    buffer.writeInt32BE(4, at);
    buffer.writeInt32BE(values[index[row]!]!, at + 4);
    at += 8;
  }
  return buffer;
}

/** timestamptz[] of microseconds since the Unix epoch. */
export function encodeTimeArray(times: Float64Array, rows: Int32Array): Buffer {
  const buffer = startArray(OID.timestamptz, rows.length, 8);
  let at = ARRAY_HEADER_BYTES;
  for (const row of rows) {
    buffer.writeInt32BE(8, at);
    writeInt8(buffer, times[row]! - POSTGRES_EPOCH_US, at + 4);
    at += 12;
  }
  return buffer;
}

/** float8[] or int8[] with nulls; text[] for every other type, to be cast by the statement. */
export function encodeValueArray({ values, nulls }: ValueBuffer, rows: Int32Array): Buffer {
  if (Array.isArray(values)) {
    const texts = Array.from(rows, (row) => (nulls[row] === 1 ? null : Buffer.from(values[row]!, "utf8")));
    return encodeBytesArray(OID.text, texts);
  }
  const buffer = startArray(values instanceof BigInt64Array ? OID.int8 : OID.float8, rows.length, 8);
  const view = new DataView(buffer.buffer, buffer.byteOffset);
  let at = rows.length === 0 ? 0 : ARRAY_HEADER_BYTES;
  for (const row of rows) {
    if (nulls[row] === 1) {
      view.setInt32(at, NULL_LENGTH);
      at += 4;
      continue;
    }
    view.setInt32(at, 8);
    if (values instanceof BigInt64Array) view.setBigInt64(at + 4, values[row]!);
    else view.setFloat64(at + 4, values[row]!);
    at += 12;
  }
  return buffer.subarray(0, at);
}

/** bytea[] of texts in hex. */
export function encodeHexArray(texts: readonly string[], rows: Int32Array): Buffer {
  return encodeBytesArray(
    OID.bytea,
    Array.from(rows, (row) => Buffer.from(texts[row]!, "hex")),
  );
}

function encodeBytesArray(oid: number, elements: readonly (Buffer | null)[]): Buffer {
  const parts: Buffer[] = [
    startArray(oid, elements.length, 0).subarray(0, elements.length === 0 ? 12 : ARRAY_HEADER_BYTES),
  ];
  for (const element of elements) {
    const length = Buffer.allocUnsafe(4);
    length.writeInt32BE(element === null ? NULL_LENGTH : element.length);
    parts.push(length);
    if (element !== null) parts.push(element);
  }
  return Buffer.concat(parts);
}

/** A whole number that fits 53 bits, without the cost of a bigint. */
export function writeInt8(buffer: Buffer, value: number, at: number): void {
  const high = Math.floor(value / TWO_TO_32);
  buffer.writeInt32BE(high, at);
  buffer.writeUInt32BE(value - high * TWO_TO_32, at + 4);
}

/** Rows as columns: series id, time in microseconds since the epoch, content key, and the values. */
export interface ColumnPage {
  length: number;
  readonly seriesIds: Int32Array;
  readonly times: BigInt64Array;
  /** In hex; undefined where the dataset has none. */
  readonly contentKeys: string[] | undefined;
  readonly columns: readonly ValueBuffer[];
}

/** Room for `capacity` rows. Nulls are 1 in `nulls`, and NaN, 0 or the empty text among the values. */
export function createColumnPage(dataset: DatasetShape, capacity: number): ColumnPage {
  return {
    length: 0,
    seriesIds: new Int32Array(capacity),
    times: new BigInt64Array(capacity),
    contentKeys: dataset.contentKey ? new Array<string>(capacity).fill("") : undefined,
    columns: dataset.values.map((column) => createValueBuffer(column, capacity)),
  };
}

/** Places of the halves of a 64-bit number in this machine's memory. */
export const [LOW, HIGH] = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? [0, 1] : [1, 0];

/** Whole numbers as their halves: making a bigint of each would cost more than all else about it. */
export function halvesOf({ buffer, byteOffset, length }: BigInt64Array | Float64Array): Int32Array {
  return new Int32Array(buffer, byteOffset, 2 * length);
}

/**
 * Appends to `page` the rows of one binary COPY of (series_id, time, content key if any, values…); values that are
 * neither float8 nor int8 as text.
 *
 * @throws StoreError `internal` when the bytes are not of that form or do not fit.
 */
export function decodeCopy(bytes: Buffer, page: ColumnPage): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fields = page.columns.length + (page.contentKeys === undefined ? 2 : 3);
  const times = halvesOf(page.times);
  const halves = page.columns.map(({ values }) => (values instanceof BigInt64Array ? halvesOf(values) : undefined));
  let at = COPY_HEADER_BYTES;
  let row = page.length;
  for (;;) {
    const count = view.getInt16(at);
    at += 2;
    if (count === -1) break;
    if (count !== fields || row === page.seriesIds.length) {
      throw new StoreError(
        "internal",
        `A COPY row has ${count} fields where ${fields} were expected, or one row too many came.`,
      );
    }
    page.seriesIds[row] = view.getInt32(at + 4);
    const time = view.getInt32(at + 12) * TWO_TO_32 + view.getUint32(at + 16) + POSTGRES_EPOCH_US;
    const high = Math.floor(time / TWO_TO_32);
    times[2 * row + HIGH] = high;
    times[2 * row + LOW] = time - high * TWO_TO_32;
    at += 20;
    if (page.contentKeys !== undefined) {
      page.contentKeys[row] = bytes.toString("hex", at + 4, at + 4 + view.getInt32(at));
      at += 4 + view.getInt32(at);
    }
    at = decodeValues(view, bytes, at, page.columns, halves, row);
    row++;
  }
  page.length = row;
}

/** The last row of a COPY. */
export interface LastRow {
  /** Rows in all. */
  readonly rows: number;
  readonly seriesId: number;
  /** Microseconds since the epoch. */
  readonly timeUs: number;
  /** In hex. */
  readonly contentKey: string | undefined;
}

/** Finds the last row, undefined where there is none, in a tenth of the time that decoding takes. */
export function lastRowOf(bytes: Buffer, { contentKey }: Pick<DatasetShape, "contentKey">): LastRow | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = COPY_HEADER_BYTES;
  let row = -1;
  let rows = 0;
  for (let fields = view.getInt16(at); fields !== -1; fields = view.getInt16(at)) {
    row = at;
    rows++;
    at += 2 + KEY_BYTES;
    for (let field = 2; field < fields; field++) at += 4 + Math.max(0, view.getInt32(at));
  }
  if (row === -1) return undefined;
  const keyAt = row + 2 + KEY_BYTES;
  return {
    rows,
    seriesId: view.getInt32(row + 6),
    timeUs: view.getInt32(row + 14) * TWO_TO_32 + view.getUint32(row + 18) + POSTGRES_EPOCH_US,
    contentKey: contentKey && bytes.toString("hex", keyAt + 4, keyAt + 4 + view.getInt32(keyAt)),
  };
}

function decodeValues(
  view: DataView,
  bytes: Buffer,
  start: number,
  columns: readonly ValueBuffer[],
  halves: readonly (Int32Array | undefined)[],
  row: number,
): number {
  let at = start;
  for (let slot = 0; slot < columns.length; slot++) {
    const { values, nulls } = columns[slot]!;
    const whole = halves[slot];
    const length = view.getInt32(at);
    const isNull = length === NULL_LENGTH;
    at += 4;
    nulls[row] = isNull ? 1 : 0;
    if (whole !== undefined) {
      whole[2 * row + HIGH] = isNull ? 0 : view.getInt32(at);
      whole[2 * row + LOW] = isNull ? 0 : view.getInt32(at + 4);
    } else if (Array.isArray(values)) values[row] = isNull ? "" : bytes.toString("utf8", at, at + length);
    else (values as Float64Array)[row] = isNull ? Number.NaN : view.getFloat64(at);
    if (!isNull) at += length;
  }
  return at;
}
